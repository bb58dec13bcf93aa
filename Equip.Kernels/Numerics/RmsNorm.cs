using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Numerics;

/// <summary>Root-mean-square normalisation (arXiv 1910.07467).</summary>
public static class RmsNorm
{
    /// <summary>output[r, c] = input[r, c] / sqrt(mean(input[r]²) + epsilon) * weight[c].</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="input"><c>[rows, columns]</c>.</param>
    /// <param name="weight"><c>[columns]</c>.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="output"><c>[rows, columns]</c>; the same memory as <paramref name="input"/>, or apart.</param>
    /// <param name="rows">Rows.</param>
    /// <exception cref="ArgumentException">A length does not fit, or spans overlap partly.</exception>
    public static void Normalize(KernelContext context, ReadOnlySpan<float> input, ReadOnlySpan<float> weight, float epsilon, Span<float> output, int rows)
        => throw new NotImplementedException();
}
