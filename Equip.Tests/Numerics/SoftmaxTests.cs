using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Numerics;

internal sealed class SoftmaxTests
{
    // x - max is rounded to 2^-24 of up to 100 before the exponential: small probabilities are off by up to 6e-6 of themselves.
    private const double Relative = 8e-6;

    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void Normalize_EveryLength_MatchesDouble(Isa isa)
    {
        KernelContext context = Contexts.For(isa);
        foreach (int columns in TestData.Lengths)
        {
            const int Rows = 3;
            using GuardedBuffer input = new(Rows * columns * 4), output = new(Rows * columns * 4);
            TestData.Random(Rows * columns, columns + 1, 4).CopyTo(input.AsSpan<float>());
            Softmax.Normalize(context, input.AsSpan<float>(), output.AsSpan<float>(), Rows, columns);
            double[] expected = ReferenceNumerics.Softmax(input.AsSpan<float>(), Rows, columns);
            TestData.AssertClose(output.AsSpan<float>(), expected, 1e-37, Relative, $"{columns} columns");
            Softmax.Normalize(context, input.AsSpan<float>(), input.AsSpan<float>(), Rows, columns);
            Assert.That(input.AsSpan<float>().SequenceEqual(output.AsSpan<float>()), "in place differs");
            input.AssertCanary();
            output.AssertCanary();
        }
    }

    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void Normalize_SpecialRows_ZerosOrNaN(Isa isa)
    {
        KernelContext context = Contexts.For(isa);
        const int Columns = 37, Rows = 7;
        float[] rows = TestData.Random(Rows * Columns), output = new float[Rows * Columns];
        rows.AsSpan(Columns, Columns).Fill(float.NegativeInfinity);
        rows.AsSpan(2 * Columns, Columns).Fill(float.NegativeInfinity);
        rows[(2 * Columns) + 3] = float.NaN;
        rows[(3 * Columns) + 36] = float.NaN;
        rows.AsSpan(4 * Columns, 20).Fill(float.NegativeInfinity);
        rows[(4 * Columns) + 30] = float.MinValue;
        // The NaN makes eight lanes lose the largest value; what is far above the rest then must not show either.
        rows[5 * Columns] = 1000;
        rows[(5 * Columns) + 8] = float.NaN;
        rows[(6 * Columns) + 20] = float.PositiveInfinity;
        Softmax.Normalize(context, rows, output, Rows, Columns);
        Assert.That(output[Columns..(2 * Columns)], Is.All.EqualTo(0f), "fully masked row");
        Assert.That(output[(2 * Columns)..(4 * Columns)], Is.All.NaN, "rows with NaN");
        Assert.That(output[(5 * Columns)..], Is.All.NaN, "a lost maximum, infinity");
        TestData.AssertClose(output, ReferenceNumerics.Softmax(rows, Rows, Columns), 1e-37, Relative);
    }

    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void Normalize_ThreadsAndAlignment_SameBits(Isa isa)
    {
        const int Rows = 300, Columns = 333;
        float[] input = TestData.Random(Rows * Columns + 1), one = new float[Rows * Columns], three = new float[Rows * Columns + 1];
        Softmax.Normalize(Contexts.For(isa, 1), input.AsSpan(0, Rows * Columns), one, Rows, Columns);
        input.AsSpan(0, Rows * Columns).CopyTo(three.AsSpan(1));
        Softmax.Normalize(Contexts.For(isa, 3), three.AsSpan(1), three.AsSpan(1), Rows, Columns);
        Assert.That(three.AsSpan(1).SequenceEqual(one));
    }

    [Test]
    public void Normalize_BadArguments_Refused()
    {
        KernelContext context = Contexts.For(Isa.Scalar);
        float[] x = new float[12];
        Assert.That(() => Softmax.Normalize(context, x, x, -1, 4), Throws.InstanceOf<ArgumentException>().With.Message.Contains("rows"));
        Assert.That(() => Softmax.Normalize(context, x, x, 4, 4), Throws.ArgumentException.With.Message.Contains("at least 16"));
        Assert.That(() => Softmax.Normalize(context, x, x, int.MaxValue, int.MaxValue), Throws.ArgumentException);
        Assert.That(() => Softmax.Normalize(context, x.AsSpan(0, 8), x.AsSpan(4, 8), 2, 4), Throws.ArgumentException.With.Message.Contains("overlaps"));
        Assert.That(() => Softmax.Normalize(null!, x, x, 3, 4), Throws.ArgumentNullException);
    }
}
