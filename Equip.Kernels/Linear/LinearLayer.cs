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
    public static void Multiply(KernelContext context, in WeightMatrix weights, ReadOnlySpan<float> input, Span<float> output, int batch, ReadOnlySpan<float> bias = default, bool accumulate = false)
        => throw new NotImplementedException();
}
