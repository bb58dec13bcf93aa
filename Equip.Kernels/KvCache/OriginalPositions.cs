using Equip.Kernels.Attention;

namespace Equip.Kernels.KvCache;

/// <summary>A key keeps the position it was born with; one query, rotated to its own position, attends everything.</summary>
public sealed class OriginalPositions : CacheStrategy
{
    /// <inheritdoc/>
    public override string Name => "original";

    /// <inheritdoc/>
    public override int KeyRotation(int position) => position;

    /// <inheritdoc/>
    public override int MaxRuns(HeadCache head) => head.PageCount;

    /// <inheritdoc/>
    public override unsafe int WriteRuns(HeadCache head, int position, IRotatedQueries queries, float* columnWeights, Span<AttentionRun> runs)
        => WritePages(head, 0, head.Capacity, queries.At(position), columnWeights, runs);
}
