using System.Numerics;
using System.Runtime.InteropServices;

namespace Equip.Kernels.Eviction;

/// <summary>Accumulation of per-slot scores.</summary>
internal static class ScoreSums
{
    /// <summary>sums[i] += values[i].</summary>
    public static void Add(Span<float> sums, ReadOnlySpan<float> values)
    {
        values = values[..sums.Length];
        Span<Vector<float>> wideSums = MemoryMarshal.Cast<float, Vector<float>>(sums);
        ReadOnlySpan<Vector<float>> wideValues = MemoryMarshal.Cast<float, Vector<float>>(values);
        for (int i = 0; i < wideSums.Length; i++) wideSums[i] += wideValues[i];
        for (int i = wideSums.Length * Vector<float>.Count; i < sums.Length; i++) sums[i] += values[i];
    }
}
