using Equip.Kernels.Interop;

namespace Equip.Tests.Abi;

/// <summary>What no caller should do: always a status with words, never a crash, and the cache is as it was.</summary>
[NonParallelizable]
public sealed unsafe class AbuseTests
{
    private static readonly string[] _nullable =
    [
        "equip_context_create.options", "equip_attention_prefill.sink_queries", "equip_gemv.bias", "equip_gemm.bias", "equip_cache_write.slots", "equip_cache_attend.column_weights",
        "equip_cache_create.rope", "equip_cache_create.policy", "equip_policy_keep.rope",
    ];

    // Numbers of which every value is one, flags, and bytes that a caller may have more of than a call needs.
    private static readonly string[] _anyNumber =
    [
        "equip_rope_fill_delta.delta", "equip_gemv.accumulate", "equip_gemm.accumulate", "equip_top_k.ordered", "equip_cache_snapshot.size",
    ];

    private static readonly string[] _unaligned = ["equip_cache_snapshot.buffer", "equip_cache_restore.buffer"];

    private AbiWorld _world = null!;

    private static IEnumerable<Header.Function> Fallible => Header.Text.Functions.Where(function => function.Result == "equip_status");

    [SetUp]
    public void MakeWorld() => _world = new AbiWorld();

    [TearDown]
    public void EndWorld()
    {
        _world.Dispose();
    }

    [TestCaseSource(nameof(Fallible))]
    public void Call_WithValidArguments_Succeeds(object function)
    {
        string name = function.ToString()!;
        Assert.That(Abi.Call(name, _world.Valid(name)), Is.EqualTo(EquipStatus.Ok), Abi.LastError);
    }

    [TestCaseSource(nameof(Fallible))]
    public void Call_WithOneBadArgument_IsRefusedWithWordsAndChangesNothing(object function)
    {
        Header.Function called = (Header.Function)function;
        for (int i = 0; i < called.Parameters.Length; i++)
        {
            Header.Parameter parameter = called.Parameters[i];
            string place = $"{called.Name}.{parameter.Name}";
            foreach ((string what, nint bad) in Bad(called, i))
            {
                nint[] arguments = _world.Valid(called.Name);
                arguments[i] = bad;
                EquipStatus status = Abi.Call(called.Name, arguments);
                Assert.That(status, Is.Not.EqualTo(EquipStatus.Ok).And.Not.EqualTo(EquipStatus.Internal), $"{place} {what}: {Abi.LastError}");
                if (parameter.IsHandle) Assert.That(status, Is.EqualTo(EquipStatus.InvalidHandle), $"{place} {what}: {Abi.LastError}");
                else Assert.That(status, Is.EqualTo(EquipStatus.InvalidArgument).Or.EqualTo(EquipStatus.Unsupported), $"{place} {what}: {Abi.LastError}");
                Assert.That(Abi.LastError, Is.Not.Empty);
                AssertUnchanged(place + " " + what);
            }
        }
    }

    [TestCaseSource(nameof(Fallible))]
    public void Call_WithOverlappingMemory_IsRefused(object function)
    {
        Header.Function called = (Header.Function)function;
        for (int i = 0; i < called.Parameters.Length; i++)
        {
            if (!called.Parameters[i].IsWritten || called.Parameters[i].Type.Contains("equip_", StringComparison.Ordinal) || called.Name.EndsWith("snapshot", StringComparison.Ordinal)) continue;
            for (int j = 0; j < called.Parameters.Length; j++)
            {
                if (j == i || !called.Parameters[j].IsPointer || called.Parameters[j].IsStruct) continue;
                nint[] arguments = _world.Valid(called.Name);
                // One number each must be the same one to overlap.
                int step = called.Name.EndsWith("_query", StringComparison.Ordinal) || called.Parameters[i].Type.StartsWith("int64", StringComparison.Ordinal) || called.Parameters[j].Type.StartsWith("int64", StringComparison.Ordinal) ? 0 : sizeof(float);
                arguments[i] = arguments[j] + step;
                Assert.That(Abi.Call(called.Name, arguments), Is.EqualTo(EquipStatus.InvalidArgument), $"{called.Name}: {called.Parameters[i].Name} in {called.Parameters[j].Name}");
                AssertUnchanged(called.Name);
            }
        }
    }

    [TestCaseSource(nameof(Fallible))]
    public void Call_WithAWrongStructSize_IsRefused(object function)
    {
        Header.Function called = (Header.Function)function;
        for (int i = 0; i < called.Parameters.Length; i++)
        {
            if (!called.Parameters[i].IsStruct || called.Parameters[i].Type.Contains("run", StringComparison.Ordinal) || called.Name.EndsWith("_init", StringComparison.Ordinal)) continue;
            foreach (int change in (int[])[-8, -1, 5000, int.MaxValue])
            {
                nint[] arguments = _world.Valid(called.Name);
                *(uint*)arguments[i] += (uint)change;
                Assert.That(Abi.Call(called.Name, arguments), Is.EqualTo(EquipStatus.InvalidArgument), $"{called.Name}.{called.Parameters[i].Name} {change}");
            }

            nint[] later = _world.Valid(called.Name);
            uint size = *(uint*)later[i];
            *(uint*)later[i] = size + 16;
            Assert.That(Abi.Call(called.Name, later), Is.EqualTo(EquipStatus.Ok), $"{called.Name}: a longer struct with zeros");
            if (!called.Parameters[i].Type.StartsWith("const", StringComparison.Ordinal)) continue;
            later = _world.Valid(called.Name);
            *(uint*)later[i] = size + 16;
            *(byte*)(later[i] + (nint)size + 9) = 1;
            Assert.That(Abi.Call(called.Name, later), Is.EqualTo(EquipStatus.Unsupported), $"{called.Name}: a longer struct with an unknown field");
        }
    }

    [Test]
    public void Attention_WithMemoryOfARunOverlapping_IsRefused()
    {
        const string Name = "equip_attention_decode";
        foreach (Action<nint, nint> spoil in (Action<nint, nint>[])
        [
            (runs, output) => ((EquipAttentionRun*)runs)[1].Keys = (void*)(output + 4),
            (runs, output) => ((EquipAttentionRun*)runs)[0].Values = (void*)(output - 64),
            (runs, output) => ((EquipAttentionRun*)runs)[1].ColumnWeights = (float*)output,
            (runs, output) => ((EquipAttentionRun*)runs)[1].ColumnWeights = ((EquipAttentionRun*)runs)[0].ColumnWeights + 4,
            (runs, output) => ((EquipAttentionRun*)runs)[0].ColumnWeights = (float*)((EquipAttentionRun*)runs)[1].Keys,
            (runs, output) => ((EquipAttentionRun*)runs)[0].ColumnWeights = ((EquipAttentionRun*)runs)[0].Queries + 1,
            (runs, output) => ((EquipAttentionRun*)runs)[0].Keys = (byte*)((EquipAttentionRun*)runs)[0].Keys + 1,
            (runs, output) => ((EquipAttentionRun*)runs)[0].Queries = null,
            (runs, output) => ((EquipAttentionRun*)runs)[1].Tokens = int.MinValue,
        ])
        {
            nint[] arguments = _world.Valid(Name);
            spoil(arguments[2], arguments[6]);
            Assert.That(Abi.Call(Name, arguments), Is.EqualTo(EquipStatus.InvalidArgument));
        }
    }

    [Test]
    public void Handles_ThatAreClosedOrInvented_AreRefusedForEver()
    {
        nint made = _world.Zeros();
        Abi.Ok("equip_context_create", 0, made);
        nint closed = *(nint*)made;
        Abi.Ok("equip_context_destroy", closed);
        for (int i = 0; i < 100; i++)
        {
            // The entry is used again, by another generation.
            Abi.Ok("equip_context_create", 0, made);
            Assert.That(*(nint*)made, Is.Not.EqualTo(closed));
            Assert.That(Abi.Call("equip_context_destroy", closed), Is.EqualTo(EquipStatus.InvalidHandle));
            Abi.Ok("equip_context_destroy", *(nint*)made);
        }

        Assert.That(Abi.Call("equip_cache_destroy", 0), Is.EqualTo(EquipStatus.Ok));
    }

    [Test]
    public void Choose_WithPositionsOfNoText_EndsWithAStatus()
    {
        foreach (string policy in (string[])["random", "h2o", "tova", "streaming"])
        {
            nint chooser = _world.Made(made => Abi.Call("equip_policy_create", _world.Text(policy), _world.Struct(AbiWorld.PolicyOptions), made));
            for (int i = 0; i < 20; i++)
                Assert.That(Abi.Call("equip_policy_choose", chooser, _world.Cache, 0, 0, _world.Zeros()), Is.EqualTo(EquipStatus.Ok).Or.EqualTo(EquipStatus.InvalidState), policy);
            Abi.Ok("equip_policy_destroy", chooser);
        }
    }

    private IEnumerable<(string What, nint Value)> Bad(Header.Function function, int index)
    {
        Header.Parameter parameter = function.Parameters[index];
        string place = $"{function.Name}.{parameter.Name}";
        bool nullable = _nullable.Contains(place) || function.Name.EndsWith("_destroy", StringComparison.Ordinal);
        if (parameter.IsHandle)
        {
            if (!nullable) yield return ("null", 0);
            yield return ("another kind", parameter.Type.Contains("rope", StringComparison.Ordinal) ? _world.Context : _world.Rope);
            yield return ("closed", Closed());
            foreach (nint invented in (nint[])[1, -1, 0x7fff0001, nint.MaxValue, nint.MinValue, _world.Floats()]) yield return ($"invented {invented:x}", invented);
            yield break;
        }

        if (parameter.IsPointer)
        {
            if (!nullable) yield return ("null", 0);
            if (!_unaligned.Contains(place)) yield return ("misaligned", _world.Valid(function.Name)[index] + 1);
            yield break;
        }

        if (_anyNumber.Contains(place)) yield break;
        yield return ("negative", -1);
        yield return ("lowest", parameter.Type == "int64_t" ? nint.MinValue : int.MinValue);
        if (parameter.Type != "int64_t") yield break;
        yield return ("2^63 - 1", nint.MaxValue);
        yield return ("2^62", (nint)1 << 62);
        yield return ("2^63 / 64 + 1", (nint.MaxValue >> 6) + 1);
        yield return ("2^31", (nint)1 << 31);
    }

    private nint Closed()
    {
        nint handle = _world.Made(made => Abi.Call("equip_context_create", 0, made));
        Abi.Ok("equip_context_destroy", handle);
        return handle;
    }

    private void AssertUnchanged(string what)
    {
        nint now = _world.Zeros();
        Abi.Ok("equip_cache_snapshot", _world.Cache, now, 16384);
        Assert.That(new ReadOnlySpan<byte>((void*)now, (int)_world.SnapshotBytes).SequenceEqual(new ReadOnlySpan<byte>((void*)_world.Snapshot, (int)_world.SnapshotBytes)), what);
    }
}
