using Equip.Kernels.Attention;

namespace Equip.Kernels.KvCache;

/// <summary>
/// Cache positions (a token's position is its rank among the live ones) for sinks plus a sliding window, without rotating any
/// key again. The window is written and queried in an ever-growing frame: a key of age a is always a behind its query. The
/// sinks keep rotation s for ever, and a second copy of the query, rotated to rank min(position, budget - 1), attends them.
/// </summary>
/// <param name="sinks">Slots [0, sinks) hold the sinks.</param>
/// <param name="budget">Live tokens of a full cache, the newest included.</param>
public sealed class TwoQueryPositions(int sinks, int budget) : CacheStrategy(budget)
{
    /// <inheritdoc/>
    public override string Name => "cache:two-query";

    /// <inheritdoc/>
    public override int KeyRotation(int position) => position;

    /// <inheritdoc/>
    public override int MaxRuns(HeadCache head) => head.PageCount + 1;

    /// <inheritdoc/>
    public override unsafe int WriteRuns(HeadCache head, int position, IRotatedQueries queries, float* columnWeights, Span<AttentionRun> runs)
    {
        int rank = SinkQueryRotation(position);
        if (rank == position) return WritePages(head, 0, head.Capacity, queries.At(position), columnWeights, runs);
        int written = WritePages(head, 0, sinks, queries.At(rank), columnWeights, runs);
        return written + WritePages(head, sinks, head.Capacity, queries.At(position), columnWeights, runs[written..]);
    }
}
