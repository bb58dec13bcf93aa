using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Linear;

/// <summary><c>Y = X Wᵀ + b</c>, for one input (gemv), a few (skinny gemm) or many (gemm with packed panels).</summary>
public static class LinearLayer
{
    /// <summary>Multiplies.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="weights"><c>[rows, columns]</c>.</param>
    /// <param name="input"><c>[batch, columns]</c>, float32.</param>
    /// <param name="output"><c>[batch, rows]</c>, float32; may not overlap <paramref name="input"/>.</param>
    /// <param name="batch">Inputs, at least 1.</param>
    /// <param name="bias"><c>[rows]</c>, or empty.</param>
    /// <param name="accumulate">Add to <paramref name="output"/> (a residual stream) instead of replacing it.</param>
    /// <exception cref="ArgumentException">A length does not fit the shapes, or spans overlap.</exception>
    public static unsafe void Multiply(KernelContext context, in WeightMatrix weights, ReadOnlySpan<float> input, Span<float> output, int batch, ReadOnlySpan<float> bias = default, bool accumulate = false)
    {
        ArgumentNullException.ThrowIfNull(context);
        Require.NotNull(weights.Data, nameof(weights));
        Require.InRange(batch, 1, int.MaxValue);
        Require.AtLeast(input.Length, (long)batch * weights.Columns, nameof(input));
        Require.AtLeast(output.Length, (long)batch * weights.Rows, nameof(output));
        if (!bias.IsEmpty) Require.AtLeast(bias.Length, weights.Rows, nameof(bias));
        if (output.Overlaps(input)) throw new ArgumentException("output: overlaps input", nameof(output));
        if (output.Overlaps(bias)) throw new ArgumentException("output: overlaps bias", nameof(output));
        fixed (float* x = input, y = output, b = bias)
        {
            if (batch == 1) Gemv.Multiply(context, weights, null, weights.Rows, x, y, b, accumulate);
            else if (batch <= SkinnyGemm.MaxBatch) SkinnyGemm.Multiply(context, weights, x, y, batch, b, accumulate);
            else Gemm.Multiply(context, weights, x, y, batch, b, accumulate);
        }
    }
}
