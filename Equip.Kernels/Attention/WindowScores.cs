using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Attention;

/// <summary>Probabilities of the last queries of a prompt against all its keys: what SnapKV and its relatives score by.</summary>
public static class WindowScores
{
    /// <summary>Computes the probabilities.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="shape">Heads, head dimension, cache type.</param>
    /// <param name="queries"><c>[window, heads, headDim]</c>: the rotated queries of the last rows.</param>
    /// <param name="keys">K rows (values are not read); <see cref="PrefillKeys.Past"/> counts the rows before the window.</param>
    /// <param name="probabilities"><c>[heads, window, past + window]</c>; causal inside the window (later keys get 0).</param>
    /// <param name="window">Queries.</param>
    /// <exception cref="ArgumentException">A length, count or pointer does not fit.</exception>
    public static void Compute(KernelContext context, in AttentionShape shape, ReadOnlySpan<float> queries, in PrefillKeys keys, Span<float> probabilities, int window)
        => throw new NotImplementedException();
}
