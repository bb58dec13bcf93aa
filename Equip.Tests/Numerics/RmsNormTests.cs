using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Numerics;

internal sealed class RmsNormTests
{
    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void Normalize_EveryLength_MatchesDouble(Isa isa)
    {
        KernelContext context = Contexts.For(isa);
        foreach (int columns in TestData.Lengths)
        {
            const int Rows = 3;
            using GuardedBuffer input = new(Rows * columns * 4), weight = new(columns * 4), output = new(Rows * columns * 4);
            TestData.Random(Rows * columns, columns + 1).CopyTo(input.AsSpan<float>());
            TestData.Random(columns, columns + 2).CopyTo(weight.AsSpan<float>());
            RmsNorm.Normalize(context, input.AsSpan<float>(), weight.AsSpan<float>(), 1e-5f, output.AsSpan<float>(), Rows);
            double[] expected = ReferenceNumerics.RmsNorm(input.AsSpan<float>(), weight.AsSpan<float>(), 1e-5f, Rows);
            TestData.AssertClose(output.AsSpan<float>(), expected, 1e-30, 2e-6, $"{columns} columns");
            RmsNorm.Normalize(context, input.AsSpan<float>(), weight.AsSpan<float>(), 1e-5f, input.AsSpan<float>(), Rows);
            Assert.That(input.AsSpan<float>().SequenceEqual(output.AsSpan<float>()), "in place differs");
            input.AssertCanary();
            output.AssertCanary();
        }
    }

    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void Normalize_NaNPastEnd_DoesNotLeak(Isa isa)
    {
        float[] input = TestData.Random(64), weight = TestData.Random(64), output = new float[64];
        input.AsSpan(37).Fill(float.NaN);
        weight.AsSpan(37).Fill(float.NaN);
        output.AsSpan(37).Fill(7);
        RmsNorm.Normalize(Contexts.For(isa), input, weight.AsSpan(0, 37), 0, output, 1);
        Assert.That(output[..37].Any(float.IsNaN), Is.False);
        Assert.That(output[37..], Is.All.EqualTo(7f));
    }

    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void Normalize_ThreadsAndAlignment_SameBits(Isa isa)
    {
        const int Rows = 65, Columns = 1027;
        float[] input = TestData.Random(Rows * Columns), weight = TestData.Random(Columns), one = new float[Rows * Columns], three = new float[Rows * Columns + 1];
        RmsNorm.Normalize(Contexts.For(isa, 1), input, weight, 1e-6f, one, Rows);
        RmsNorm.Normalize(Contexts.For(isa, 3), input, weight, 1e-6f, three.AsSpan(1), Rows);
        Assert.That(three.AsSpan(1).SequenceEqual(one));
    }

    [Test]
    public void Normalize_BadArguments_Refused()
    {
        KernelContext context = Contexts.For(Isa.Scalar);
        float[] x = new float[12], weight = new float[4];
        Assert.That(() => RmsNorm.Normalize(context, x, weight, 0, x, 4), Throws.ArgumentException.With.Message.Contains("at least 16"));
        Assert.That(() => RmsNorm.Normalize(context, x, weight, 0, x, -1), Throws.InstanceOf<ArgumentException>().With.Message.Contains("rows"));
        Assert.That(() => RmsNorm.Normalize(context, x, weight, float.NaN, x, 3), Throws.InstanceOf<ArgumentException>().With.Message.Contains("epsilon"));
        Assert.That(() => RmsNorm.Normalize(context, x.AsSpan(0, 8), weight, 0, x.AsSpan(2, 8), 2), Throws.ArgumentException.With.Message.Contains("overlaps"));
        Assert.That(() => RmsNorm.Normalize(context, x, x.AsSpan(0, 4), 0, x, 3), Throws.ArgumentException.With.Message.Contains("overlaps weight"));
    }
}
