using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Equip.Kernels.Numerics;

/// <summary>
/// e^x of float32 vectors. x = n ln 2 + r with |r| at most ln 2 / 2 (ln 2 in two parts, Cody and Waite), e^r by a minimax
/// polynomial of degree 6 (relative error 4e-9, so rounding dominates), then scaled by 2^n. At most 0.90 ulp from e^x
/// (every float32 of [-87.33654, 88.72283] checked against double). Inputs under -87.33654 give 0 (no subnormal results),
/// inputs over 88.72283 give infinity; NaN stays NaN. Both widths return the same bits.
/// </summary>
internal static class VectorExp
{
    private const float Log2E = 1.44269504f;
    private const float Ln2High = 0.693145752f;
    private const float Ln2Low = 1.42860677e-6f;
    private const float C2 = 0.49999994f, C3 = 0.166665211f, C4 = 0.041668389f, C5 = 0.00836874545f, C6 = 0.00138145383f;
    private const float Smallest = -87.33654f;

    // Past the overflow point (88.72284), so that clamped inputs still overflow to infinity.
    private const float Clamp = 89f;

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
        // min returns the second operand for NaN, so NaN goes through. Whatever comes of x too small is not kept.
        Vector256<float> p = Reduced(Avx.Min(Vector256.Create(Clamp), x), out Vector256<int> exponent);
        // 2^n in two halves: n reaches 128, one past the largest exponent.
        Vector256<int> half = exponent >> 1;
        return Vector256.AndNot(p * Power(half) * Power(exponent - half), Vector256.LessThan(x, Vector256.Create(Smallest)));
    }

    /// <summary>
    /// The same bits for x at most 0 or NaN, as in a softmax, in fewer instructions: 2^n needs no halves. Anything at all for other x:
    /// a softmax whose maximum was lost to a NaN passes such x, and its sum, which is NaN, covers them.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ExpToOne(Vector256<float> x)
    {
        Vector256<float> p = Reduced(x, out Vector256<int> exponent);
        return Vector256.AndNot(p * Power(exponent), Vector256.LessThan(x, Vector256.Create(Smallest)));
    }

    /// <summary>The correctly rounded or neighbouring value of the C library, with the same cut at the small end.</summary>
    public static float Exp(float x) => x < Smallest ? 0 : MathF.Exp(x);

    // e^r and n.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Reduced(Vector256<float> x, out Vector256<int> exponent)
    {
        Vector256<float> n = Avx.RoundToNearestInteger(x * Vector256.Create(Log2E));
        Vector256<float> r = Fma.MultiplyAddNegated(n, Vector256.Create(Ln2High), x);
        r = Fma.MultiplyAddNegated(n, Vector256.Create(Ln2Low), r);
        Vector256<float> p = Fma.MultiplyAdd(Vector256.Create(C6), r, Vector256.Create(C5));
        p = Fma.MultiplyAdd(p, r, Vector256.Create(C4));
        p = Fma.MultiplyAdd(p, r, Vector256.Create(C3));
        p = Fma.MultiplyAdd(p, r, Vector256.Create(C2));
        p = Fma.MultiplyAdd(p, r, Vector256.Create(1f));
        exponent = Avx.ConvertToVector256Int32(n);
        return Fma.MultiplyAdd(p, r, Vector256.Create(1f));
    }

    // 2^n for n from -126 to 127.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Power(Vector256<int> n) => ((n + Vector256.Create(127)) << 23).AsSingle();
}
