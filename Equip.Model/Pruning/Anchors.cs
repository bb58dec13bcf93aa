using System.Numerics;
using System.Runtime.InteropServices;

namespace Equip.Model.Pruning;

/// <summary>The running mean of the K or V rows of one layer, <c>[kvHeads, headDim]</c>.</summary>
internal sealed class Anchors(int kvHeads, int headDim)
{
    private readonly float[] _means = new float[kvHeads * headDim];

    /// <summary>How similar a token is, over the heads; then the anchors follow it.</summary>
    /// <param name="rows"><c>[kvHeads, headDim]</c>.</param>
    /// <param name="keep">What an anchor keeps of itself, 0 to 1.</param>
    /// <returns>Mean and population variance over the heads of the cosine to the anchor as it was; 0 where a row or an anchor is zero.</returns>
    public (double Mean, double Variance) Follow(ReadOnlySpan<float> rows, float keep)
    {
        double sum = 0, squares = 0;
        for (int head = 0; head < kvHeads; head++)
        {
            double cosine = Follow(rows.Slice(head * headDim, headDim), _means.AsSpan(head * headDim, headDim), keep);
            sum += cosine;
            squares += cosine * cosine;
        }

        double mean = sum / kvHeads;
        return (mean, Math.Max(0, (squares / kvHeads) - (mean * mean)));
    }

    // headDim is a multiple of 16, so of any vector's length. One pass: the old anchor is measured while the new one is written.
    private static double Follow(ReadOnlySpan<float> row, Span<float> anchor, float keep)
    {
        ReadOnlySpan<Vector<float>> x = MemoryMarshal.Cast<float, Vector<float>>(row);
        Span<Vector<float>> a = MemoryMarshal.Cast<float, Vector<float>>(anchor);
        Vector<float> dot = Vector<float>.Zero, rowSquares = dot, anchorSquares = dot, kept = new(keep), added = new(1 - keep);
        for (int i = 0; i < x.Length; i++)
        {
            dot += x[i] * a[i];
            rowSquares += x[i] * x[i];
            anchorSquares += a[i] * a[i];
            a[i] = (kept * a[i]) + (added * x[i]);
        }

        double norms = Math.Sqrt((double)Vector.Sum(rowSquares) * Vector.Sum(anchorSquares));
        return norms > 0 ? Vector.Sum(dot) / norms : 0;
    }
}
