using Equip.Kernels.Interop;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Abi;

/// <summary>The cache handle over long runs: snapshots, threads, refusals that leave it as it was.</summary>
[NonParallelizable]
public sealed unsafe class AbiCacheTests
{
    [TestCase("streaming", 1)]
    [TestCase("h2o", 3)]
    [TestCase("tova", 0)]
    public void Decode_InEightThreads_EqualsOneThread(string policy, int positions)
    {
        const int Threads = 8;
        float[] alone = new float[Threads], together = new float[Threads];
        for (int i = 0; i < Threads; i++) alone[i] = Decode(policy, positions, i);
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(i => new Thread(() => together[i] = Decode(policy, positions, i)))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        Assert.That(together, Is.EqualTo(alone));
        Assert.That(alone.Distinct().Count(), Is.EqualTo(Threads), "the sequences differ");
    }

    [Test]
    public void Handles_ClosedWhileOthersOpen_AreNeverBusyToTheirOwners()
    {
        int refused = 0;
        Thread[] threads = [.. Enumerable.Range(0, 4).Select(_ => new Thread(() =>
        {
            for (int i = 0; i < 300; i++)
            {
                try
                {
                    nint handle = Handles.Add(new SlowToClose());
                    Handles.Take<SlowToClose>(handle, "slow").Dispose();
                    Handles.Close<SlowToClose>(handle, "slow");
                }
                catch (InteropException)
                {
                    Interlocked.Increment(ref refused);
                }
            }
        }))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        Assert.That(refused, Is.Zero);
    }

    [Test]
    public void Context_UsedByTwoThreads_IsBusyAndNeverWrong()
    {
        using AbiWorld world = new();
        nint[] call = world.Valid("equip_gemm");
        call[3] = 100;
        call[5] = 0;
        Abi.Ok("equip_gemm", call);
        float[] expected = new ReadOnlySpan<float>((void*)call[6], 800).ToArray();
        int busy = 0, ok = 0, other = 0;
        Thread[] threads = [.. Enumerable.Range(0, 4).Select(_ => new Thread(() =>
        {
            for (int i = 0; i < 500; i++)
            {
                EquipStatus status = Abi.Call("equip_gemm", call);
                if (status == EquipStatus.Ok) Interlocked.Increment(ref ok);
                else if (status == EquipStatus.Busy) Interlocked.Increment(ref busy);
                else Interlocked.Increment(ref other);
            }
        }))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        Assert.That((other, ok + busy), Is.EqualTo((0, 2000)));
        Assert.That(ok, Is.Positive);
        Assert.That(new ReadOnlySpan<float>((void*)call[6], 800).SequenceEqual(expected));
    }

    [Test]
    public void Snapshot_WithAnyByteChanged_IsRefusedAndTheCacheIsAsItWas()
    {
        using AbiWorld world = new();
        int size = (int)world.SnapshotBytes;
        nint copy = world.Zeros(), now = world.Zeros();
        ReadOnlySpan<byte> snapshot = new((void*)world.Snapshot, size);
        for (int i = 0; i < size; i++)
        {
            snapshot.CopyTo(new Span<byte>((void*)copy, size));
            ((byte*)copy)[i] ^= (byte)(1 + (i % 255));
            Assert.That(Abi.Call("equip_cache_restore", world.Cache, copy, size), Is.EqualTo(EquipStatus.InvalidArgument), $"byte {i}");
        }

        for (int length = 0; length < size; length += 37) Assert.That(Abi.Call("equip_cache_restore", world.Cache, world.Snapshot, length), Is.EqualTo(EquipStatus.InvalidArgument), $"{length} bytes");
        Abi.Ok("equip_cache_snapshot", world.Cache, now, size);
        Assert.That(new ReadOnlySpan<byte>((void*)now, size).SequenceEqual(snapshot));

        // At any alignment.
        snapshot.CopyTo(new Span<byte>((void*)(copy + 1), size));
        Abi.Ok("equip_cache_restore", world.Cache, copy + 1, size);
    }

    [Test]
    public void Write_IntoAFullHeadOrADeadSlot_IsRefused()
    {
        using AbiWorld world = new();
        nint[] write = world.Valid("equip_cache_write");
        foreach (int slot in (int[])[9, 10, -1, int.MaxValue])
        {
            write[4] = world.Ints(0, slot);
            Assert.That(Abi.Call("equip_cache_write", write), Is.EqualTo(EquipStatus.InvalidArgument), $"slot {slot}");
        }

        write[4] = world.Ints(8, 8);
        Assert.That(Abi.Call("equip_cache_replace", write), Is.EqualTo(EquipStatus.InvalidArgument), "a free slot");
        Abi.Ok("equip_cache_write", write);
        write[4] = 0;
        Assert.That(Abi.Call("equip_cache_write", write), Is.EqualTo(EquipStatus.InvalidState), "the ninth row fills it");

        nint tokens = world.Zeros();
        Abi.Ok("equip_cache_positions", world.Cache, 0, 0, 0, 0, world.Zeros(), tokens);
        Assert.That(*(long*)tokens, Is.EqualTo(9));
        world.Restore();
    }

    [Test]
    public void Clear_GivesTheMemoryBack()
    {
        using AbiWorld world = new();
        nint bytes = world.Zeros();
        Abi.Ok("equip_cache_bytes", world.Cache, bytes);
        Assert.That(*(long*)bytes, Is.EqualTo(9L * 2 * AbiWorld.Layers * AbiWorld.KvHeads * AbiWorld.HeadDim * sizeof(float)));
        Abi.Ok("equip_cache_clear", world.Cache);
        Abi.Ok("equip_cache_bytes", world.Cache, bytes);
        Assert.That(*(long*)bytes, Is.Zero);
    }

    /// <summary>Runs a sequence for many times its budget and returns a digest of all outputs.</summary>
    private static float Decode(string policy, int positions, int seed)
    {
        using AbiWorld world = new();
        EquipPolicyOptions options = AbiWorld.PolicyOptions with { BudgetTokens = 16, SinkTokens = policy == "streaming" ? 4 : 0 };
        nint chooser = world.Made(made => Abi.Call("equip_policy_create", world.Text(policy), world.Struct(options), made));
        nint cache = world.Made(made => Abi.Call("equip_cache_create", world.Struct(AbiWorld.CacheOptions with { Positions = positions, CacheType = 1 }), world.Rope, chooser, made));
        nint slots = world.Zeros(), output = world.Zeros(), weights = world.Zeros(), rows = world.Zeros();
        Span<float> numbers = new((void*)rows, 4096);
        const int Row = AbiWorld.HeadDim * sizeof(float);
        float digest = 0;
        for (int position = 0; position < 150; position++)
        {
            TestData.Random(8 * AbiWorld.HeadDim, (seed * 1000) + position).CopyTo(numbers);
            for (int layer = 0; layer < AbiWorld.Layers; layer++)
            {
                Abi.Ok("equip_policy_choose", chooser, cache, layer, position, slots);
                Abi.Ok("equip_cache_write", world.Context, cache, layer, position, slots, rows, rows + (2 * Row));
                Abi.Ok("equip_cache_attend", world.Context, cache, layer, position, rows + (4 * Row), output, weights, 32);
                Abi.Ok("equip_policy_observe", chooser, cache, layer, position, weights, 32);
            }

            foreach (float value in new ReadOnlySpan<float>((void*)output, AbiWorld.Heads * AbiWorld.HeadDim)) digest = (digest * 0.99f) + value;
        }

        Abi.Ok("equip_cache_destroy", cache);
        Abi.Ok("equip_policy_destroy", chooser);
        return digest;
    }

    private sealed class SlowToClose : IDisposable
    {
        public void Dispose() => Thread.Yield();
    }
}
