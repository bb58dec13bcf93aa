using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Attention;

/// <summary>
/// Attention of one query token per sequence over the runs of its cache: an online softmax across runs. All query heads of
/// a group share each K and V load. The order of rows carries no meaning.
/// </summary>
public static class DecodeAttention
{
    /// <summary>Attends.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="shape">Heads, head dimension, cache type.</param>
    /// <param name="runs">The runs of all streams, stream by stream.</param>
    /// <param name="firstRun">
    /// <c>[streams + 1]</c>: stream s (sequence s / kvHeads, KV head s % kvHeads) owns runs [firstRun[s], firstRun[s + 1]).
    /// </param>
    /// <param name="output"><c>[streams, group, headDim]</c> = <c>[sequences, heads, headDim]</c>. A stream without rows gives zeros.</param>
    /// <exception cref="ArgumentException">A length, count or pointer does not fit.</exception>
    public static void Attend(KernelContext context, in AttentionShape shape, ReadOnlySpan<AttentionRun> runs, ReadOnlySpan<int> firstRun, Span<float> output)
        => throw new NotImplementedException();
}
