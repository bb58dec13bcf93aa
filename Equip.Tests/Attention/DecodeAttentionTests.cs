using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Attention;

[TestFixtureSource(nameof(Fixtures))]
internal sealed unsafe class DecodeAttentionTests(Isa isa, DataType type)
{
    private static IEnumerable<TestFixtureData> Fixtures
        => from isa in Contexts.Paths from type in new[] { DataType.F32, DataType.F16, DataType.BF16 } select new TestFixtureData(isa, type);

    private static IEnumerable<int> HeadDims => Enumerable.Range(1, AttentionShape.MaxHeadDim / 16).Select(i => 16 * i);

    [TestCase(64, 2)]
    [TestCase(80, 1)]
    [TestCase(128, 4)]
    public void Attend_EveryTokenCount_MatchesOracle(int headDim, int group)
    {
        KernelContext context = Contexts.For(isa);
        using DecodeAttentionCase test = Case(group, headDim, weights: group != 2).Stream(257);
        for (int tokens = 257; tokens >= 0; tokens--)
        {
            test.AssertMatchesOracle(context, $"{tokens} tokens");
            if (tokens > 0) test.DropFirstRow(run: 0);
        }
    }

    [TestCaseSource(nameof(HeadDims))]
    public void Attend_EveryHeadDimAndGroup_MatchesOracle(int headDim)
    {
        KernelContext context = Contexts.For(isa);
        for (int group = 1; group <= 9; group++)
        {
            using DecodeAttentionCase test = Case(group, headDim, kvHeads: 2, weights: true).Stream(37).Stream(5);
            test.AssertMatchesOracle(context, $"group {group}");
        }
    }

    [TestCase(1)]
    [TestCase(2)]
    [TestCase(5)]
    public void Attend_BatchOfMixedRuns_MatchesOracle(int threads)
    {
        KernelContext context = Contexts.For(isa, threads);
        using DecodeAttentionCase test = Case(3, 64, kvHeads: 2, weights: true)
            .Stream(4, 300).Stream(4, 299)
            .Stream().Stream(0)
            .Stream(1, 1, 1, 2, 0, 3, 61, 7).Stream(0, 64, 0, 64, 129, 0)
            .Paged(333, 16).Paged(1000, 16);
        test.AssertMatchesOracle(context);
    }

    [Test]
    public void Attend_ManyShortRunsOfTheirOwnQueries_MatchesOracle([Values(1, 2, 3, 4, 6)] int group)
    {
        // As the offset classes of cache:lazy: blocks are full of pieces that start anywhere.
        using DecodeAttentionCase test = Case(group, 32, weights: true).Stream([.. Enumerable.Range(0, 150).Select(i => 1 + (i % 3))]).Stream([.. Enumerable.Repeat(1, 130)]).Stream(3, 250, 1, 70);
        test.AssertMatchesOracle(Contexts.For(isa, 1));
    }

    [TestCase(1)]
    [TestCase(2)]
    [TestCase(3)]
    [TestCase(7)]
    public void Attend_FewStreamsManyTokens_SplitMatchesOracle(int threads)
    {
        KernelContext context = Contexts.For(isa, threads);
        using DecodeAttentionCase test = Case(4, 32, kvHeads: 2, weights: true).Stream(4, 2500, 16).Paged(1777, 16);
        test.AssertMatchesOracle(context);
    }

    [Test]
    public void Attend_LargeGroupSplit_MergesInParallelAndMatchesOracle()
    {
        using DecodeAttentionCase test = Case(40, 128, weights: true).Stream(700);
        test.AssertMatchesOracle(Contexts.For(isa));
    }

    [Test]
    public void Attend_KeysRotatedOnReading_MatchOracle(
        [Values] RopeLayout layout, [Values(RopeType.Default, RopeType.Yarn)] RopeType rope, [Values(0, 6, 32)] int rotaryDim, [Values(32, 80, 128)] int headDim)
    {
        RankAngles angles = new(new RopeTable(new RopeOptions { HeadDim = headDim, RotaryDim = rotaryDim, Layout = layout, Type = rope, Factor = 4, OriginalMaxPositions = 512 }));
        angles.Reserve(2000);
        using DecodeAttentionCase test = new(new AttentionShape(6, 2, headDim, type)) { QueryScale = 0.3f, Weights = true, KeyAngles = angles };
        test.Stream(4, 300, 1, 7, 33).Stream().Paged(333, 16).Stream(1);
        test.AssertMatchesOracle(Contexts.For(isa, 2));
    }

    [TestCase(1)]
    [TestCase(8)]
    [TestCase(16)]
    [TestCase(48)]
    public void Attend_Paged_MatchesOracle(int page)
    {
        using DecodeAttentionCase test = Case(4, 64, kvHeads: 2).Paged(517, page).Paged(40, page);
        test.AssertMatchesOracle(Contexts.For(isa));
    }

    [Test]
    public void Attend_SharpScores_MatchesOracle()
    {
        // Scores in the hundreds: without subtracting the maximum every exponential would overflow.
        using DecodeAttentionCase test = Case(4, 128, kvHeads: 2, queryScale: 8, weights: true).Stream(10, 500).Stream(200);
        test.AssertMatchesOracle(Contexts.For(isa), tolerance: 3e-4);
    }

    [Test]
    public void Attend_AnyAlignmentAnyRepeat_GivesTheSameBits()
    {
        KernelContext context = Contexts.For(isa);
        float[]? first = null;
        foreach (int skew in new[] { 0, 4, 20 })
        {
            using DecodeAttentionCase test = Case(4, 80, kvHeads: 2, skew: skew, weights: true).Stream(4, 700).Stream(100);
            test.AssertMatchesOracle(context, $"skew {skew}");
            for (int repeat = 0; repeat < 5; repeat++)
            {
                float[] output = [.. test.Attend(context), .. new ReadOnlySpan<float>(test.Runs[1].ColumnWeights, 700)];
                first ??= output;
                Assert.That(output.Select(BitConverter.SingleToInt32Bits), Is.EqualTo(first.Select(BitConverter.SingleToInt32Bits)), $"skew {skew}");
            }
        }
    }

    [Test]
    public void Attend_NaNInOneKey_ReachesThatStreamOnly()
    {
        using DecodeAttentionCase test = Case(3, 64, kvHeads: 3).Stream(90).Stream(500).Stream(90);
        test.SetKey(run: 1, row: 333, element: 63, float.NaN);
        float[] output = test.Attend(Contexts.For(isa));
        int stream = 3 * 64;
        Assert.That(output[..stream].Concat(output[(2 * stream)..]), Has.None.NaN);
        Assert.That(output[stream..(2 * stream)], Is.All.NaN);
    }

    [Test]
    public void Attend_NaNInOneQuery_ReachesThatHeadOnly([Range(0, 6)] int head)
    {
        using DecodeAttentionCase test = Case(7, 48).Stream(77);
        test.Runs[0].Queries[(head * 48) + 5] = float.NaN;
        float[] output = test.Attend(Contexts.For(isa));
        for (int h = 0; h < 7; h++) Assert.That(output.Skip(h * 48).Take(48), h == head ? Is.All.NaN : Has.None.NaN, $"head {h}");
    }

    [Test]
    public void Attend_SpecialNumbers_MatchOracle([Values(1, 2)] int group)
    {
        float[] special = [0, -0f, 6e-8f, -6e-8f, 5.9e-5f, -6.1e-5f, 65504, -65504, 1e-3f, float.PositiveInfinity, float.NegativeInfinity, float.NaN];
        for (int i = 0; i < special.Length; i++)
        {
            // Even and odd elements, the last 16 of a row that is no multiple of 32, and both operands.
            foreach (int element in new[] { 0, 1, 31, 70, 79 })
            {
                using DecodeAttentionCase key = Case(group, 80, queryScale: 1e-5f).Stream(37), value = Case(group, 80).Stream(37);
                key.SetKey(0, 20, element, special[i]);
                key.AssertMatchesOracle(Contexts.For(isa), $"key {special[i]} at {element}");
                value.SetValue(0, 20, element, special[i]);
                value.AssertMatchesOracle(Contexts.For(isa), $"value {special[i]} at {element}", float.Abs(special[i]) > 60000 ? 0.05 : 1e-5);
            }
        }
    }

    [Test]
    public void Attend_SubnormalValues_MatchOracle([Values(1, 2, 3, 4)] int group, [Values] bool oneARow)
    {
        // Small queries: every row has about the same weight.
        using DecodeAttentionCase test = Case(group, 80, queryScale: 1e-3f).Stream(50);
        Random random = new(TestData.Seed);
        double largest = 0;
        for (int row = 0; row < 50; row++)
        {
            for (int d = 0; d < 80; d++)
            {
                // binary16 is normal from 6.1e-5 on.
                float small = !oneARow || d == row * 7 % 80 ? (random.NextSingle() - 0.5f) * 1e-4f : 7e-5f;
                largest = Math.Max(largest, Math.Abs(small));
                test.SetValue(0, row, d, small);
            }
        }

        double[] expected = ReferenceAttention.Decode(test.Shape, test.Runs, test.FirstRun);
        TestData.AssertClose(test.Attend(Contexts.For(isa)), expected, 1e-5 * largest, 0);
    }

    [Test]
    public void Attend_MinusInfinityScores_DoNotCount()
    {
        using DecodeAttentionCase test = Case(1, 16, kvHeads: 2, weights: true).Stream(40).Stream(3);
        for (int run = 0; run < 2; run++)
            for (int row = 0; row < test.Runs[run].Tokens; row++)
                if (run == 1 || row % 2 == 0) test.SetKey(run, row, 3, test.Runs[run].Queries[3] > 0 ? float.NegativeInfinity : float.PositiveInfinity);
        test.AssertMatchesOracle(Contexts.For(isa));
        Assert.That(test.Attend(Contexts.For(isa))[16..], Is.All.Zero);
    }

    [Test]
    public void Attend_WarmContext_AllocatesNothing()
    {
        KernelContext context = Contexts.For(isa);
        using DecodeAttentionCase test = Case(4, 64, kvHeads: 2, weights: true).Stream(4, 1000).Paged(300, 16);
        AttentionRun[] runs = test.Runs;
        int[] firstRun = test.FirstRun;
        float[] output = new float[test.OutputLength];
        Allocations.AssertNone(() => DecodeAttention.Attend(context, test.Shape, runs, firstRun, output));
    }

    private DecodeAttentionCase Case(int group, int headDim, int kvHeads = 1, int seed = TestData.Seed, float queryScale = 0.5f, int skew = 0, bool weights = false)
        => new(new AttentionShape(group * kvHeads, kvHeads, headDim, type), seed) { QueryScale = queryScale, Skew = skew, Weights = weights };
}
