using System.Numerics;
using System.Runtime.InteropServices;

namespace Equip.Kernels.Eviction;

/// <summary>Sums over rows of a few hundred elements, in vectors of the machine's width; the same on every path.</summary>
internal static class RowMath
{
    /// <summary>sum of a[i] b[i].</summary>
    public static float Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        b = b[..a.Length];
        ReadOnlySpan<Vector<float>> wideA = MemoryMarshal.Cast<float, Vector<float>>(a), wideB = MemoryMarshal.Cast<float, Vector<float>>(b);
        Vector<float> sums = Vector<float>.Zero;
        for (int i = 0; i < wideA.Length; i++) sums += wideA[i] * wideB[i];
        float sum = Vector.Sum(sums);
        for (int i = wideA.Length * Vector<float>.Count; i < a.Length; i++) sum += a[i] * b[i];
        return sum;
    }

    /// <summary>sum of |a[i]|.</summary>
    public static float Norm1(ReadOnlySpan<float> a)
    {
        ReadOnlySpan<Vector<float>> wide = MemoryMarshal.Cast<float, Vector<float>>(a);
        Vector<float> sums = Vector<float>.Zero;
        for (int i = 0; i < wide.Length; i++) sums += Vector.Abs(wide[i]);
        float sum = Vector.Sum(sums);
        for (int i = wide.Length * Vector<float>.Count; i < a.Length; i++) sum += MathF.Abs(a[i]);
        return sum;
    }

    /// <summary>sqrt(sum of a[i]^2).</summary>
    public static float Norm2(ReadOnlySpan<float> a) => MathF.Sqrt(Dot(a, a));
}
