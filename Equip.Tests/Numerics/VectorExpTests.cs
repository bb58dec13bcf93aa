using System.Runtime.Intrinsics;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Numerics;

internal sealed class VectorExpTests
{
    private const float Smallest = -87.33654f, Largest = 88.72283f;

    // A prime stride through the bit patterns of both signs: about 4.5 million values, every binade, changing low bits.
    private const int Stride = 263;

    [Test]
    public void Exp_WholeRange_WithinOneUlp([Values(Isa.Avx2, Isa.Avx512)] Isa isa)
    {
        _ = Contexts.For(isa);
        double worst = 0;
        float at = 0;
        Span<float> x = stackalloc float[16], y = stackalloc float[16];
        int last = BitConverter.SingleToInt32Bits(Largest);
        for (int bits = BitConverter.SingleToInt32Bits(1e-9f); bits < last - (16 * Stride); bits += 8 * Stride)
        {
            for (int i = 0; i < 16; i++)
            {
                float value = BitConverter.Int32BitsToSingle(bits + (i / 2 * Stride));
                x[i] = i % 2 == 0 ? value : Math.Max(-value, Smallest);
            }

            Apply(isa, x, y);
            for (int i = 0; i < 16; i++)
            {
                double exact = Math.Exp(x[i]), ulp = Math.ScaleB(1, Math.ILogB(exact) - 23);
                double error = Math.Abs(y[i] - exact) / ulp;
                if (!(error > worst)) continue;
                worst = error;
                at = x[i];
            }
        }

        Assert.That(worst, Is.LessThan(0.90), $"at {at:R}");
    }

    [Test]
    public void Exp_Edges_ZeroOneInfinityNaN([Values(Isa.Scalar, Isa.Avx2, Isa.Avx512)] Isa isa)
    {
        _ = Contexts.For(isa);
        float[] x = [float.NegativeInfinity, float.MinValue, -1e8f, -87.34f, Smallest, -1e-40f, 0, float.Epsilon, Largest, 88.73f, 100, 1e8f, 1e30f, float.MaxValue, float.PositiveInfinity, float.NaN];
        float[] y = new float[16];
        Apply(isa, x, y);
        Assert.That(y[..4], Is.All.EqualTo(0f));
        Assert.That(y[4], Is.EqualTo((float)Math.Exp(Smallest)).Within(1).Ulps);
        Assert.That(y[5..8], Is.All.EqualTo(1f));
        Assert.That(y[8], Is.EqualTo((float)Math.Exp(Largest)).Within(1).Ulps);
        Assert.That(y[9..15], Is.All.EqualTo(float.PositiveInfinity));
        Assert.That(y[15], Is.NaN);
    }

    [Test]
    public void Exp_BothWidths_SameBits()
    {
        _ = Contexts.For(Isa.Avx512);
        float[] x = TestData.Random(16 * 4000, scale: 10), narrow = new float[16], wide = new float[16];
        for (int i = 0; i < x.Length; i += 16)
        {
            Apply(Isa.Avx2, x.AsSpan(i, 16), narrow);
            Apply(Isa.Avx512, x.AsSpan(i, 16), wide);
            Assert.That(wide, Is.EqualTo(narrow));
        }
    }

    [Test]
    public void ExpToOne_NotPositive_SameBitsAsExp()
    {
        _ = Contexts.For(Isa.Avx2);
        int last = BitConverter.SingleToInt32Bits(100);
        for (int bits = BitConverter.SingleToInt32Bits(1e-9f); bits < last; bits += 8 * Stride)
            AssertSame(-(Vector256.Create(bits) + (Vector256.Create(0, 1, 2, 3, 4, 5, 6, 7) * Stride)).AsSingle());
        AssertSame(Vector256.Create(float.NegativeInfinity, float.MinValue, MathF.BitDecrement(Smallest), Smallest, MathF.BitIncrement(Smallest), -0f, float.NaN, -float.Epsilon));
    }

    private static void AssertSame(Vector256<float> x)
    {
        Vector256<uint> expected = VectorExp.Exp(x).AsUInt32(), actual = VectorExp.ExpToOne(x).AsUInt32();
        if (actual != expected) Assert.Fail($"x = {x}: got {actual.AsSingle()}, expected {expected.AsSingle()}");
    }

    private static void Apply(Isa isa, ReadOnlySpan<float> x, Span<float> y)
    {
        if (isa == Isa.Avx512)
        {
            VectorExp.Exp(Vector512.Create(x)).CopyTo(y);
        }
        else if (isa == Isa.Avx2)
        {
            VectorExp.Exp(Vector256.Create(x)).CopyTo(y);
            VectorExp.Exp(Vector256.Create(x[8..])).CopyTo(y[8..]);
        }
        else
        {
            for (int i = 0; i < x.Length; i++) y[i] = VectorExp.Exp(x[i]);
        }
    }
}
