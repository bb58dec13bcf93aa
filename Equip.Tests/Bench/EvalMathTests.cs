using Equip.Bench.Eval;
using Equip.Bench.Info;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Memory;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Bench;

internal sealed class EvalMathTests
{
    [Test]
    public void NegativeLogProbability_AnyLength_EqualsTheLogSoftmax([Values(1, 7, 16, 33, 4096, 32000)] int vocabulary)
    {
        float[] logits = TestData.Random(vocabulary, scale: 3);
        int token = vocabulary / 2;
        double max = logits.Max();
        double expected = Math.Log(logits.Sum(logit => Math.Exp(logit - max))) + max - logits[token];
        Assert.That(Perplexity.NegativeLogProbability(logits, token), Is.EqualTo(expected).Within(1e-5));
    }

    [Test]
    public void NegativeLogProbability_LargeLogits_DoesNotOverflow() =>
        Assert.That(Perplexity.NegativeLogProbability([1000, 1000, -1000], 0), Is.EqualTo(Math.Log(2)).Within(1e-6));

    [Test]
    public void NegativeLogProbability_NaN_IsNaN() => Assert.That(Perplexity.NegativeLogProbability([1, float.NaN, 2], 0), Is.NaN);

    [Test]
    public void Value_UniformPrediction_IsTheVocabulary() =>
        Assert.That(new Perplexity(10 * Math.Log(4096), 10, 1).Value, Is.EqualTo(4096).Within(1e-6));

    [Test]
    public void Cut_Text_WholeWindowsEachAfterBos()
    {
        int[] ids = [.. Enumerable.Range(1, 10)];
        Assert.That(Text(HeldoutWindows.Cut(ids, 0, 4, 0, "x")), Is.EqualTo("0 1 2 3 4, 0 5 6 7 8"));
        Assert.That(Text(HeldoutWindows.Cut(ids, null, 5, 1, "x")), Is.EqualTo("1 2 3 4 5"));
    }

    private static string Text(HeldoutWindows windows) => string.Join(", ", windows.Sequences.Select(window => string.Join(' ', window)));

    [Test]
    public void Cut_TooShort_SaysSo() =>
        Assert.That(() => HeldoutWindows.Cut([1, 2], 0, 3, 0, "book.txt"), Throws.ArgumentException.With.Message.Contains("book.txt: got 2 tokens"));

    [Test]
    public void Count_Distances_FallIntoTheirRanges()
    {
        Retrieval result = new();
        foreach (int distance in new[] { 0, 149, 150, 1500, 1799, 1800 }) result.Count(distance, distance < 1500);
        Assert.That(result.All, Is.EqualTo(new Tally(3, 6)));
        Assert.That(result.ByDistance, Is.EqualTo(new[]
        {
            ("0-149", new Tally(2, 2)), ("150-349", new Tally(1, 1)), ("1500-1799", new Tally(0, 2)), ("1800-", new Tally(0, 1)),
        }));
    }

    [Test]
    public void Measure_SmallBuffer_ReadsAllOfIt([Values(1, 3)] int threads)
    {
        using WorkerPool pool = new(threads);
        Assert.That(ReadBandwidth.Measure(pool, 1 << 20), Is.GreaterThan(0).And.LessThan(1e13));
    }

    [Test]
    public void PeakMemory_AfterReset_CountsWhatIsTouchedSince()
    {
        PeakMemory.Reset();
        long before = PeakMemory.Read();
        // Native memory, and much: a managed array may make the collector give other pages back, and so may other tests.
        using NativeBuffer touched = new(256 << 20);
        touched.AsSpan<byte>().Fill(1);
        Assert.That(PeakMemory.Read(), Is.GreaterThan(before + (128 << 20)));
    }
}
