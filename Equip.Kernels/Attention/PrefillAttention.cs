using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Attention;

/// <summary>What a prefill call reads: K and V rows of one layer in order of age, the past first and the new tokens last.</summary>
public readonly unsafe struct PrefillKeys
{
    /// <summary>K rows <c>[kvHeads, rows, headDim]</c>, heads <see cref="HeadStride"/> rows apart.</summary>
    public required void* Keys { get; init; }

    /// <summary>V rows, laid out as <see cref="Keys"/>.</summary>
    public required void* Values { get; init; }

    /// <summary>Rows from one KV head to the next, at least <see cref="Past"/> + new tokens.</summary>
    public required long HeadStride { get; init; }

    /// <summary>Rows before the first new token's row.</summary>
    public int Past { get; init; }

    /// <summary>0 to attend to everything before, or the most recent rows (own row included) that a token sees besides the sinks.</summary>
    public int Window { get; init; }

    /// <summary>With a window: the first rows that every token sees.</summary>
    public int Sinks { get; init; }
}

/// <summary>
/// Causal attention of many new tokens, tiled with an online softmax; no tokens x tokens matrix is stored. With a window,
/// token i (row r = past + i) sees rows [0, sinks) and rows (r - window, r].
/// </summary>
public static class PrefillAttention
{
    /// <summary>Attends.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="shape">Heads, head dimension, cache type.</param>
    /// <param name="queries"><c>[tokens, heads, headDim]</c>, rotated.</param>
    /// <param name="sinkQueries">Empty, or <c>[tokens, heads, headDim]</c>: the queries to use on the sinks of a windowed call.</param>
    /// <param name="keys">K and V rows.</param>
    /// <param name="output"><c>[tokens, heads, headDim]</c>; may not overlap the queries.</param>
    /// <param name="tokens">New tokens.</param>
    /// <exception cref="ArgumentException">A length, count or pointer does not fit.</exception>
    public static void Attend(KernelContext context, in AttentionShape shape, ReadOnlySpan<float> queries, ReadOnlySpan<float> sinkQueries, in PrefillKeys keys, Span<float> output, int tokens)
        => throw new NotImplementedException();
}
