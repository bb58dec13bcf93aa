using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Equip.Kernels.Numerics;

/// <summary>
/// e^x of float32 vectors. x = n ln 2 + r with |r| at most ln 2 / 2 (ln 2 in two parts, Cody and Waite), e^r by a polynomial
/// of degree 6, then scaled by 2^n. Inputs under -87.3 give 0 (no subnormal results); NaN stays NaN.
/// </summary>
internal static class VectorExp
{
    private const float Log2E = 1.44269504f;
    private const float Ln2High = 0.693145752f;
    private const float Ln2Low = 1.42860677e-6f;
    private const float C2 = 0.5f, C3 = 0.166666657f, C4 = 0.0416665666f, C5 = 0.00833342969f, C6 = 0.00139171435f;
    private const float Smallest = -87.33654f, Largest = 88.72283f;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        Vector512<float> n = Avx512F.RoundScale(x * Vector512.Create(Log2E), 0);
        Vector512<float> r = Avx512F.FusedMultiplyAddNegated(n, Vector512.Create(Ln2High), x);
        r = Avx512F.FusedMultiplyAddNegated(n, Vector512.Create(Ln2Low), r);
        Vector512<float> p = Avx512F.FusedMultiplyAdd(Vector512.Create(C6), r, Vector512.Create(C5));
        p = Avx512F.FusedMultiplyAdd(p, r, Vector512.Create(C4));
        p = Avx512F.FusedMultiplyAdd(p, r, Vector512.Create(C3));
        p = Avx512F.FusedMultiplyAdd(p, r, Vector512.Create(C2));
        p = Avx512F.FusedMultiplyAdd(p, r, Vector512.Create(1f));
        p = Avx512F.FusedMultiplyAdd(p, r, Vector512.Create(1f));
        // vscalefps handles overflow and NaN itself.
        return Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512.Create(Smallest)), Vector512<float>.Zero, Avx512F.Scale(p, n));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Exp(Vector256<float> x)
    {
        // min and max return the second operand for NaN, so NaN goes through.
        Vector256<float> bounded = Avx.Min(Vector256.Create(Largest), Avx.Max(Vector256.Create(Smallest), x));
        Vector256<float> n = Avx.RoundToNearestInteger(bounded * Vector256.Create(Log2E));
        Vector256<float> r = Fma.MultiplyAddNegated(n, Vector256.Create(Ln2High), bounded);
        r = Fma.MultiplyAddNegated(n, Vector256.Create(Ln2Low), r);
        Vector256<float> p = Fma.MultiplyAdd(Vector256.Create(C6), r, Vector256.Create(C5));
        p = Fma.MultiplyAdd(p, r, Vector256.Create(C4));
        p = Fma.MultiplyAdd(p, r, Vector256.Create(C3));
        p = Fma.MultiplyAdd(p, r, Vector256.Create(C2));
        p = Fma.MultiplyAdd(p, r, Vector256.Create(1f));
        p = Fma.MultiplyAdd(p, r, Vector256.Create(1f));
        // 2^n in two halves: n reaches 128, one past the largest exponent.
        Vector256<int> exponent = Avx.ConvertToVector256Int32(n);
        Vector256<int> half = exponent >> 1;
        Vector256<float> first = ((half + Vector256.Create(127)) << 23).AsSingle();
        Vector256<float> second = ((exponent - half + Vector256.Create(127)) << 23).AsSingle();
        return Vector256.ConditionalSelect(Vector256.LessThan(x, Vector256.Create(Smallest)), Vector256<float>.Zero, p * first * second);
    }

    public static float Exp(float x) => x < Smallest ? 0 : MathF.Exp(x);
}
