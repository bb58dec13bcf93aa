using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Equip.Kernels.Attention;

/// <summary>16 floats of value sums, or of a V row.</summary>
internal struct Pair256
{
    public Vector256<float> Even, Odd;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe Pair256 Load(float* sums, float rescale)
    {
        Vector256<float> factor = Vector256.Create(rescale);
        return new Pair256 { Even = Vector256.LoadAligned(sums) * factor, Odd = Vector256.LoadAligned(sums + 8) * factor };
    }

    /// <summary>16 consecutive floats as even and odd ones.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<float> Even, Vector256<float> Odd) Part(Vector256<float> low, Vector256<float> high)
    {
        Vector256<double> even = Avx.Shuffle(low, high, 0x88).AsDouble(), odd = Avx.Shuffle(low, high, 0xDD).AsDouble();
        return (Avx2.Permute4x64(even, 0xD8).AsSingle(), Avx2.Permute4x64(odd, 0xD8).AsSingle());
    }

    /// <summary>The inverse.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<float> Low, Vector256<float> High) Join(Vector256<float> even, Vector256<float> odd)
    {
        Vector256<float> low = Avx.UnpackLow(even, odd), high = Avx.UnpackHigh(even, odd);
        return (Avx.Permute2x128(low, high, 0x20), Avx.Permute2x128(low, high, 0x31));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(in Pair256 row, float probability)
    {
        Vector256<float> p = Vector256.Create(probability);
        Even = Fma.MultiplyAdd(row.Even, p, Even);
        Odd = Fma.MultiplyAdd(row.Odd, p, Odd);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly unsafe void Store(float* sums)
    {
        Even.StoreAligned(sums);
        Odd.StoreAligned(sums + 8);
    }
}

/// <summary>Four score accumulators.</summary>
internal struct Quad256
{
    public Vector256<float> V0, V1, V2, V3;

    /// <summary>The four horizontal sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Vector128<float> Sum()
    {
        Vector256<float> ab = Avx.UnpackLow(V0, V1) + Avx.UnpackHigh(V0, V1);
        Vector256<float> cd = Avx.UnpackLow(V2, V3) + Avx.UnpackHigh(V2, V3);
        Vector256<float> all = Avx.Shuffle(ab, cd, 0x44) + Avx.Shuffle(ab, cd, 0xEE);
        return all.GetLower() + all.GetUpper();
    }

    /// <summary>The four horizontal maxima; NaN may or may not be seen.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Vector128<float> Max()
    {
        Vector256<float> ab = Avx.Max(Avx.UnpackLow(V0, V1), Avx.UnpackHigh(V0, V1));
        Vector256<float> cd = Avx.Max(Avx.UnpackLow(V2, V3), Avx.UnpackHigh(V2, V3));
        Vector256<float> all = Avx.Max(Avx.Shuffle(ab, cd, 0x44), Avx.Shuffle(ab, cd, 0xEE));
        return Sse.Max(all.GetLower(), all.GetUpper());
    }
}
