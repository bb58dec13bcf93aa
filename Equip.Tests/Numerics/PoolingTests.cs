using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Numerics;

internal sealed class PoolingTests
{
    [Test]
    public void AverageAndMax_EveryLength_MatchReference(
        [Values(Isa.Scalar, Isa.Avx2, Isa.Avx512)] Isa isa, [Values(1, 3, 7, 15, 63)] int kernel)
    {
        _ = Contexts.For(isa);
        foreach (int length in TestData.Lengths)
        {
            using GuardedBuffer scores = new(length * 4), output = new(length * 4);
            TestData.Random(length, length + 1).CopyTo(scores.AsSpan<float>());
            Pooling.Average(scores.AsSpan<float>(), kernel, output.AsSpan<float>(), isa);
            TestData.AssertClose(output.AsSpan<float>(), ReferenceNumerics.AveragePool(scores.AsSpan<float>(), kernel), 1e-5, 1e-6, $"average {length}");
            Pooling.Max(scores.AsSpan<float>(), kernel, output.AsSpan<float>(), isa);
            Assert.That(output.AsSpan<float>().SequenceEqual(ReferenceNumerics.MaxPool(scores.AsSpan<float>(), kernel)), $"max {length}");
            scores.AssertCanary();
            output.AssertCanary();
        }
    }

    [TestCase(Isa.Avx2)]
    [TestCase(Isa.Avx512)]
    public void Average_EveryPath_SameBitsAsScalar(Isa isa)
    {
        _ = Contexts.For(isa);
        float[] scores = TestData.Random(1003), scalar = new float[1003], vector = new float[1003];
        Pooling.Average(scores, 7, scalar, Isa.Scalar);
        Pooling.Average(scores, 7, vector, isa);
        Assert.That(vector, Is.EqualTo(scalar));
    }

    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void AverageAndMax_NaN_ReachesItsWindowsOnly(Isa isa)
    {
        _ = Contexts.For(isa);
        float[] scores = TestData.Random(100), output = new float[100];
        scores[50] = float.NaN;
        Pooling.Max(scores, 5, output, isa);
        Assert.That(Enumerable.Range(0, 100).Where(i => float.IsNaN(output[i])), Is.EqualTo(Enumerable.Range(48, 5)));
        Pooling.Average(scores, 5, output, isa);
        Assert.That(Enumerable.Range(0, 100).Where(i => float.IsNaN(output[i])), Is.EqualTo(Enumerable.Range(48, 5)));
    }

    [Test]
    public void Max_NegativeScores_OutsideIsIgnored()
    {
        float[] output = new float[3];
        Pooling.Max([-3, -2, -5], 3, output);
        Assert.That(output, Is.EqualTo((float[])[-2, -2, -2]));
        Pooling.Average([-3, -2, -4], 3, output);
        Assert.That(output, Is.EqualTo((float[])[-5f / 3, -3, -2]));
    }

    [Test]
    public void AverageAndMax_BadArguments_Refused()
    {
        float[] x = new float[8], y = new float[8];
        Assert.That(() => Pooling.Max(x, 2, y), Throws.ArgumentException.With.Message.Contains("odd"));
        Assert.That(() => Pooling.Max(x, 0, y), Throws.InstanceOf<ArgumentException>().With.Message.Contains("1 to 63"));
        Assert.That(() => Pooling.Average(x, 65, y), Throws.InstanceOf<ArgumentException>().With.Message.Contains("1 to 63"));
        Assert.That(() => Pooling.Average(x, 3, y.AsSpan(1)), Throws.ArgumentException.With.Message.Contains("at least 8"));
        Assert.That(() => Pooling.Average(x, 3, x), Throws.ArgumentException.With.Message.Contains("overlaps"));
    }
}
