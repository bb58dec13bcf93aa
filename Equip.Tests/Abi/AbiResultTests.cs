using Equip.Kernels.Attention;
using Equip.Kernels.Interop;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Abi;

/// <summary>That every export passes its arguments on as the header says: results against references and plain loops.</summary>
public sealed unsafe class AbiResultTests
{
    private AbiWorld _world = null!;

    [SetUp]
    public void MakeWorld() => _world = new AbiWorld();

    [TearDown]
    public void EndWorld()
    {
        _world.Dispose();
    }

    [Test]
    public void AttentionDecode_OverTwoRunsOfDifferentLength_EqualsTheReference()
    {
        nint[] call = _world.Valid("equip_attention_decode");
        Abi.Ok("equip_attention_decode", call);
        AttentionShape shape = new(AbiWorld.Heads, AbiWorld.KvHeads, AbiWorld.HeadDim, DataType.F32);
        EquipAttentionRun* given = (EquipAttentionRun*)call[2];
        AttentionRun[] runs = new AttentionRun[2];
        for (int i = 0; i < 2; i++) runs[i] = new AttentionRun { Keys = given[i].Keys, Values = given[i].Values, Queries = given[i].Queries, Tokens = given[i].Tokens };
        double[] expected = ReferenceAttention.Decode(shape, runs, [0, 1, 2]);
        TestData.AssertClose(Floats(call[6], expected.Length), expected, 1e-5, 1e-5);
        for (int i = 0; i < 2; i++) Assert.That(Sum(new ReadOnlySpan<float>(given[i].ColumnWeights, given[i].Tokens)), Is.EqualTo(AbiWorld.Heads / AbiWorld.KvHeads).Within(1e-5));
    }

    [Test]
    public void AttentionDecode_OverManyRuns_EqualsOneRun()
    {
        const int Tokens = 100;
        nint keys = _world.Floats(), values = _world.Floats(), queries = _world.Floats(), one = _world.Zeros(), many = _world.Zeros(), context = _world.Context;
        EquipAttentionShape shape = AbiWorld.Shape with { Heads = 2, KvHeads = 1 };
        EquipAttentionRun whole = new() { Keys = (void*)keys, Values = (void*)values, Queries = (float*)queries, Tokens = Tokens };
        Abi.Ok("equip_attention_decode", context, _world.Struct(shape), _world.Struct(whole), 1, _world.Ints(0, 1), 1, one);
        nint runs = _world.Zeros();
        for (int i = 0; i < Tokens; i++)
            ((EquipAttentionRun*)runs)[i] = whole with { Keys = (float*)keys + (i * AbiWorld.HeadDim), Values = (float*)values + (i * AbiWorld.HeadDim), Tokens = 1 };
        Abi.Ok("equip_attention_decode", context, _world.Struct(shape), runs, Tokens, _world.Ints(0, Tokens), 1, many);
        TestData.AssertClose(Floats(many, 32), Doubles(Floats(one, 32)), 1e-5, 1e-5);
    }

    [Test]
    public void AttentionPrefill_WithWindowAndSinks_EqualsTheReference()
    {
        nint[] call = _world.Valid("equip_attention_prefill");
        EquipPrefillKeys* keys = (EquipPrefillKeys*)call[2];
        keys->Window = 5;
        keys->Sinks = 2;
        Abi.Ok("equip_attention_prefill", call);
        const int Queries = 4, Length = AbiWorld.KvHeads * AbiWorld.Tokens * AbiWorld.HeadDim, Outputs = Queries * AbiWorld.Heads * AbiWorld.HeadDim;
        AttentionShape shape = new(AbiWorld.Heads, AbiWorld.KvHeads, AbiWorld.HeadDim, DataType.F32);
        double[] expected = ReferencePrefillAttention.Attend(shape, Floats(call[3], Outputs), Floats(call[4], Outputs), new ReadOnlySpan<float>(keys->Keys, Length), new ReadOnlySpan<float>(keys->Values, Length), AbiWorld.Tokens - Queries, Queries, 5, 2);
        TestData.AssertClose(Floats(call[6], Outputs), expected, 1e-5, 1e-5);
    }

    [TestCase("equip_gemv")]
    [TestCase("equip_gemm")]
    public void Linear_WithBiasAndAccumulation_EqualsPlainLoops(string name)
    {
        nint[] call = _world.Valid(name);
        int batch = name == "equip_gemm" ? (int)call[3] : 1;
        nint output = call[^1] = _world.Floats();
        call[^2] = 1;
        float[] before = Floats(output, batch * 8).ToArray();
        Abi.Ok(name, call);
        EquipMatrix* matrix = (EquipMatrix*)call[1];
        float* weights = (float*)matrix->Data, input = (float*)call[2], bias = (float*)call[^3];
        double[] expected = Doubles(before);
        for (int i = 0; i < expected.Length; i++)
        {
            expected[i] += bias[i % 8];
            for (int column = 0; column < 32; column++) expected[i] += (double)weights[(i % 8 * 32) + column] * input[(i / 8 * 32) + column];
        }

        TestData.AssertClose(Floats(output, expected.Length), expected, 1e-3, 1e-5);
    }

    [Test]
    public void Quantized_RowsGathered_AreTheRowsOfTheProduct()
    {
        nint[] quantize = _world.Valid("equip_quantize_q8");
        EquipMatrix* destination = (EquipMatrix*)quantize[2];
        destination->Data = (void*)_world.Zeros();
        Abi.Ok("equip_quantize_q8", quantize);
        nint input = _world.Floats(), all = _world.Zeros(), some = _world.Zeros();
        Abi.Ok("equip_gemv", _world.Context, quantize[2], input, 0, 0, all);
        Abi.Ok("equip_gemv_rows", _world.Context, quantize[2], _world.Ints(6, 1, 6), 3, input, some);
        ReadOnlySpan<float> rows = Floats(all, 8);
        Assert.That(Floats(some, 3).ToArray(), Is.EqualTo(new[] { rows[6], rows[1], rows[6] }));
        Assert.That(rows.ToArray(), Has.Some.Not.Zero);
    }

    [Test]
    public void Rope_FilledAndRotated_EqualsTheTable()
    {
        RopeTable table = new(new RopeOptions { HeadDim = AbiWorld.HeadDim });
        const int Count = 3, Pairs = AbiWorld.HeadDim / 2;
        nint cos = _world.Zeros(), sin = _world.Zeros(), rows = _world.Floats(), pairs = _world.Zeros();
        Abi.Ok("equip_rope_pairs", _world.Rope, pairs);
        Assert.That(*(int*)pairs, Is.EqualTo(Pairs));
        Abi.Ok("equip_rope_fill", _world.Rope, _world.Ints(7, 1000000, -3), Count, cos, sin);
        float[] expectedCos = new float[Count * Pairs], expectedSin = new float[Count * Pairs];
        table.Fill([7, 1000000, -3], expectedCos, expectedSin);
        Assert.That(Floats(cos, Count * Pairs).ToArray(), Is.EqualTo(expectedCos));
        Assert.That(Floats(sin, Count * Pairs).ToArray(), Is.EqualTo(expectedSin));

        float[] input = Floats(rows, Count * 2 * AbiWorld.HeadDim).ToArray();
        double[] expected = new double[input.Length];
        for (int i = 0; i < input.Length; i++)
        {
            int row = i / AbiWorld.HeadDim, element = i % AbiWorld.HeadDim, pair = element % Pairs, angle = (row / 2 * Pairs) + pair;
            double other = input[(row * AbiWorld.HeadDim) + ((element + Pairs) % AbiWorld.HeadDim)];
            expected[i] = ((double)input[i] * expectedCos[angle]) + (other * expectedSin[angle] * (element < Pairs ? -1 : 1));
        }

        Abi.Ok("equip_rope_rotate", _world.Context, _world.Rope, rows, rows, cos, sin, Count, 2);
        TestData.AssertClose(Floats(rows, expected.Length), expected, 1e-5, 1e-5);
    }

    [Test]
    public void Slots_ScatteredAndCompacted_HoldTheirRows()
    {
        nint rows = _world.Floats(), storage = _world.Zeros();
        Abi.Ok("equip_kv_scatter", _world.Context, rows, _world.Ints(9, 0), 2, AbiWorld.HeadDim, storage, (nint)DataType.F32, 10);
        Assert.That(Floats(storage + (9 * AbiWorld.HeadDim * sizeof(float)), AbiWorld.HeadDim).SequenceEqual(Floats(rows, AbiWorld.HeadDim)));
        Assert.That(Floats(storage + (10 * AbiWorld.HeadDim * sizeof(float)), AbiWorld.HeadDim).SequenceEqual(Floats(rows, 2 * AbiWorld.HeadDim)[AbiWorld.HeadDim..]));

        nint list = _world.Floats();
        float[] before = Floats(list, 10 * AbiWorld.HeadDim).ToArray();
        int[] keep = [1, 2, 5, 9];
        Abi.Ok("equip_kv_compact", list, (nint)DataType.F32, AbiWorld.HeadDim, 10, _world.Ints(keep), keep.Length);
        for (int i = 0; i < keep.Length; i++)
            Assert.That(Floats(list, 10 * AbiWorld.HeadDim).Slice(i * AbiWorld.HeadDim, AbiWorld.HeadDim).SequenceEqual(before.AsSpan(keep[i] * AbiWorld.HeadDim, AbiWorld.HeadDim)), $"{i}");
    }

    [Test]
    public void Scores_OfAWindow_AddUpAndTheLargestAreFound()
    {
        nint[] window = _world.Valid("equip_score_window"), sums = _world.Valid("equip_score_column_sums");
        sums[2] = window[2];
        sums[3] = window[3];
        Abi.Ok("equip_score_window", window);
        Abi.Ok("equip_score_column_sums", sums);
        ReadOnlySpan<float> probabilities = Floats(window[5], AbiWorld.Heads * 4 * AbiWorld.Tokens);
        double[] expected = new double[AbiWorld.KvHeads * AbiWorld.Tokens];
        for (int i = 0; i < probabilities.Length; i++) expected[(i / (2 * 4 * AbiWorld.Tokens) * AbiWorld.Tokens) + (i % AbiWorld.Tokens)] += probabilities[i];
        TestData.AssertClose(Floats(sums[5], expected.Length), expected, 1e-5, 1e-5);

        nint top = _world.Zeros();
        Abi.Ok("equip_top_k", sums[5], AbiWorld.Tokens, 1, top, 3);
        float[] scores = Floats(sums[5], AbiWorld.Tokens).ToArray();
        int[] largest = [.. Enumerable.Range(0, AbiWorld.Tokens).OrderByDescending(i => scores[i]).ThenBy(i => i).Take(3)];
        Assert.That(new ReadOnlySpan<int>((void*)top, 3).ToArray(), Is.EqualTo(largest));
    }

    [Test]
    public void KeepList_IsWhatPrefillStores()
    {
        nint chooser = _world.Made(made => Abi.Call("equip_policy_create", _world.Text("snapkv"), _world.Struct(AbiWorld.PolicyOptions with { WindowTokens = 3 }), made));
        nint prompt = _world.Struct(_world.Prompt with { FirstPosition = 5 }), kept = _world.Zeros(), counts = _world.Zeros();
        Abi.Ok("equip_policy_keep", _world.Context, chooser, _world.Struct(AbiWorld.Shape), 0, 1, 2, prompt, kept, counts);
        nint cache = _world.Made(made => Abi.Call("equip_cache_create", _world.Struct(AbiWorld.CacheOptions), 0, chooser, made));
        Abi.Ok("equip_policy_prefill", _world.Context, chooser, cache, 1, prompt);
        for (int head = 0; head < AbiWorld.KvHeads; head++)
        {
            Assert.That(((long*)counts)[head], Is.EqualTo(8));
            ReadOnlySpan<int> list = new((int*)kept + (head * AbiWorld.Tokens), 8);
            nint positions = _world.Zeros(), slots = _world.Zeros(), tokens = _world.Zeros(), key = _world.Zeros();
            Abi.Ok("equip_cache_positions", cache, 1, head, positions, 64, slots, tokens);
            Assert.That(*(long*)tokens, Is.EqualTo(8));
            for (int i = 0; i < 8; i++)
            {
                Assert.That(((int*)positions)[i], Is.EqualTo(list[i] + 5));
                Abi.Ok("equip_cache_read", cache, 1, head, i, key, _world.Zeros());
                ReadOnlySpan<float> row = new((float*)((EquipPrompt*)prompt)->Keys + (((head * AbiWorld.Tokens) + list[i]) * AbiWorld.HeadDim), AbiWorld.HeadDim);
                Assert.That(Floats(key, AbiWorld.HeadDim).SequenceEqual(row), $"{head} {i}");
            }
        }

        Abi.Ok("equip_cache_destroy", cache);
        Abi.Ok("equip_policy_destroy", chooser);
    }

    private static ReadOnlySpan<float> Floats(nint block, int count) => new((void*)block, count);

    private static double[] Doubles(ReadOnlySpan<float> values)
    {
        double[] wide = new double[values.Length];
        for (int i = 0; i < wide.Length; i++) wide[i] = values[i];
        return wide;
    }

    private static double Sum(ReadOnlySpan<float> values)
    {
        double sum = 0;
        foreach (float value in values) sum += value;
        return sum;
    }
}
