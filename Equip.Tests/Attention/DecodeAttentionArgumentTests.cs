using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Attention;

internal sealed unsafe class DecodeAttentionArgumentTests
{
    private static readonly AttentionShape _shape = new(4, 2, 16, DataType.F32);

    [Test]
    public void Attend_NullPointer_NamesTheField([Values] bool keys, [Values] bool values)
    {
        string field = !keys ? "Keys" : !values ? "Values" : "Queries";
        Assert.That(() => Attend(run => run with { Keys = keys ? run.Keys : null, Values = values ? run.Values : null, Queries = null }), Throws.ArgumentException.With.Message.Contains($"runs[1].{field}: got null"));
    }

    [Test]
    public void Attend_NegativeTokens_Throws()
        => Assert.That(() => Attend(run => run with { Tokens = -1 }), Throws.ArgumentException.With.Message.Contains("runs[1].Tokens: got -1, expected at least 0"));

    [TestCase(-1)]
    [TestCase(8)]
    public void Attend_RankOutsideTheAngles_Throws(int rank)
    {
        RankAngles angles = new(new RopeTable(new RopeOptions { HeadDim = 16 }));
        int[] ranks = [0, 7, rank];
        fixed (int* pointer = ranks)
        {
            int* of = pointer;
            Assert.That(() => Attend(run => run with { Ranks = of }), Throws.ArgumentException.With.Message.Contains("runs[1].Ranks[0]: got 0, expected 0 to -1"));
            angles.Reserve(8);
            Assert.That(() => Attend(run => run with { Ranks = of }, keyAngles: angles), Throws.ArgumentException.With.Message.Contains($"runs[1].Ranks[2]: got {rank}, expected 0 to 7"));
        }
    }

    [Test]
    public void Attend_AnglesOfAnotherHeadDim_Throws()
        => Assert.That(() => Attend(run => run, keyAngles: new RankAngles(new RopeTable(new RopeOptions { HeadDim = 32 }))), Throws.ArgumentException.With.Message.Contains("keyAngles: got headDim 32, expected 16"));

    [TestCase(0, 2, 1)]
    [TestCase(-1, 0, 1)]
    [TestCase(0, 1, 3)]
    [TestCase(3, 3, 3)]
    public void Attend_FirstRunOutOfOrderOrRange_Throws(int first, int second, int third)
        => Assert.That(() => Attend(run => run, firstRun: [first, second, third]), Throws.ArgumentException.With.Message.Contains("expected ascending values in [0, 2]"));

    [Test]
    public void Attend_StreamsNoMultipleOfKvHeads_Throws()
        => Assert.That(() => Attend(run => run, firstRun: [0, 2]), Throws.ArgumentException.With.Message.Contains("streams: got 1, expected a multiple of 2"));

    [Test]
    public void Attend_NoFirstRun_Throws()
        => Assert.That(() => Attend(run => run, firstRun: []), Throws.ArgumentException.With.Message.Contains("firstRun.Length: got 0 elements, expected at least 1"));

    [Test]
    public void Attend_ShortOutput_Throws()
        => Assert.That(() => Attend(run => run, outputLength: 63), Throws.ArgumentException.With.Message.Contains("output.Length: got 63 elements, expected at least 64"));

    [Test]
    public void Attend_DefaultShape_Throws()
        => Assert.That(() => DecodeAttention.Attend(Contexts.For(Isa.Scalar), default, [], [0], []), Throws.TypeOf<ArgumentOutOfRangeException>());

    [Test]
    public void Attend_NoContext_Throws()
        => Assert.That(() => DecodeAttention.Attend(null!, _shape, [], [0], []), Throws.ArgumentNullException);

    [Test]
    public void Attend_NoStreams_WritesNothing()
    {
        float[] output = [7];
        DecodeAttention.Attend(Contexts.For(Isa.Scalar), _shape, [], [0], output);
        Assert.That(output, Is.EqualTo(new float[] { 7 }));
    }

    // Two streams of three rows; the second run is damaged. A failed call must leave the output alone.
    private static void Attend(Func<AttentionRun, AttentionRun> damage, int[]? firstRun = null, int outputLength = 64, RankAngles? keyAngles = null)
    {
        float[] output = new float[outputLength];
        output.AsSpan().Fill(7);
        fixed (float* memory = TestData.Random(3 * 16))
        {
            AttentionRun run = new() { Keys = memory, Values = memory, Queries = memory, Tokens = 3 };
            try
            {
                DecodeAttention.Attend(Contexts.For(Isa.Scalar), _shape, [run, damage(run)], firstRun ?? [0, 1, 2], output, keyAngles);
            }
            finally
            {
                Assert.That(output, Is.All.EqualTo(7));
            }
        }
    }
}
