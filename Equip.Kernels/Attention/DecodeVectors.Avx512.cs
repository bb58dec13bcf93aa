using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Equip.Kernels.Attention;

/// <summary>Four score accumulators, or 64 floats of value sums or of a V row.</summary>
internal struct Quad512
{
    public Vector512<float> V0, V1, V2, V3;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quad512 operator +(in Quad512 a, in Quad512 b) => new() { V0 = a.V0 + b.V0, V1 = a.V1 + b.V1, V2 = a.V2 + b.V2, V3 = a.V3 + b.V3 };

    /// <summary>The four horizontal sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Vector128<float> Sum()
    {
        Vector512<float> ab = Avx512F.UnpackLow(V0, V1) + Avx512F.UnpackHigh(V0, V1);
        Vector512<float> cd = Avx512F.UnpackLow(V2, V3) + Avx512F.UnpackHigh(V2, V3);
        Vector512<float> all = Avx512F.Shuffle(ab, cd, 0x44) + Avx512F.Shuffle(ab, cd, 0xEE);
        Vector256<float> half = all.GetLower() + all.GetUpper();
        return half.GetLower() + half.GetUpper();
    }

    /// <summary>The four horizontal maxima; NaN may or may not be seen.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Vector128<float> Max()
    {
        Vector512<float> ab = Avx512F.Max(Avx512F.UnpackLow(V0, V1), Avx512F.UnpackHigh(V0, V1));
        Vector512<float> cd = Avx512F.Max(Avx512F.UnpackLow(V2, V3), Avx512F.UnpackHigh(V2, V3));
        Vector512<float> all = Avx512F.Max(Avx512F.Shuffle(ab, cd, 0x44), Avx512F.Shuffle(ab, cd, 0xEE));
        Vector256<float> half = Avx.Max(all.GetLower(), all.GetUpper());
        return Sse.Max(half.GetLower(), half.GetUpper());
    }
}
