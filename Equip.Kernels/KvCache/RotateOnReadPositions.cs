using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Rope;

namespace Equip.Kernels.KvCache;

/// <summary>
/// Cache positions for arbitrary holes with keys that are stored unrotated: attention rotates each by its rank while it reads it, so a
/// key is rounded once, when it is written, whatever is evicted around it. No byte of K is moved; what it costs is arithmetic, and a
/// table of angles that all heads and layers share.
/// </summary>
public sealed class RotateOnReadPositions : CacheStrategy
{
    /// <summary>Makes the strategy of one sequence.</summary>
    /// <param name="budget">Live tokens of a full cache.</param>
    /// <param name="angles">The angles that attention is given with the runs.</param>
    public RotateOnReadPositions(int budget, RankAngles angles)
        : base(budget)
    {
        ArgumentNullException.ThrowIfNull(angles);
        angles.Reserve(budget);
    }

    /// <inheritdoc/>
    public override string Name => "cache:rotate-on-read";

    /// <inheritdoc/>
    public override bool ExtendsEvictedCache => false;

    /// <inheritdoc/>
    public override bool StoresUnrotatedKeys => true;

    /// <inheritdoc/>
    public override int KeyRotation(int position) => 0;

    /// <inheritdoc/>
    public override int MaxRuns(HeadCache head) => head.PageCount;

    /// <inheritdoc/>
    public override void AfterPrompt(KernelContext context, ReadOnlySpan<HeadCache> heads)
    {
        foreach (HeadCache head in heads)
            for (int slot = 0; slot < head.Count; slot++) head.Rotations[slot] = slot;
    }

    /// <inheritdoc/>
    public override void Insert(KernelContext context, ReadOnlySpan<HeadCache> heads, ReadOnlySpan<int> slots, ReadOnlySpan<float> keys, ReadOnlySpan<float> values, int position)
    {
        for (int head = 0; head < heads.Length; head++)
            if (RankOffsets.IsLive(heads[head], slots[head])) LowerYounger(heads[head], heads[head].Rotations[slots[head]]);
        base.Insert(context, heads, slots, keys, values, position);
        for (int head = 0; head < heads.Length; head++) heads[head].Rotations[slots[head]] = heads[head].Count - 1;
    }

    /// <inheritdoc/>
    public override unsafe int WriteRuns(HeadCache head, int position, IRotatedQueries queries, float* columnWeights, Span<AttentionRun> runs)
        => WritePages(head, 0, head.Capacity, queries.At(head.Count - 1), columnWeights, runs, head.RotationsPointer);

    /// <summary>The token of rank <paramref name="evicted"/> is about to go: those younger move down by one.</summary>
    private static void LowerYounger(HeadCache head, int evicted)
    {
        Span<int> ranks = head.Rotations;
        for (int i = 0; i < ranks.Length; i++) ranks[i] -= ranks[i] > evicted ? 1 : 0;
    }
}
