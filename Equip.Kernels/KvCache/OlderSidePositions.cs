using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Rope;

namespace Equip.Kernels.KvCache;

/// <summary>
/// Cache positions for arbitrary holes by rotating the keys older than the hole up by one; the younger ones are right as they
/// are in the query's ever-growing frame. Rotated keys are made from copies of the keys as first written (twice the key
/// memory), so 16-bit keys are rounded once more and no further.
/// </summary>
/// <param name="budget">Live tokens of a full cache.</param>
/// <param name="table">The model's rotation.</param>
/// <param name="shape">The attention shape, for row size and type.</param>
public sealed class OlderSidePositions(int budget, RopeTable table, AttentionShape shape) : CacheStrategy(budget)
{
    private readonly AngleCache _deltas = new(table, deltas: true);

    /// <inheritdoc/>
    public override string Name => "cache:older-side";

    /// <inheritdoc/>
    public override bool ExtendsEvictedCache => false;

    /// <inheritdoc/>
    public override int KeyRotation(int position) => position;

    /// <inheritdoc/>
    public override int MaxRuns(HeadCache head) => head.PageCount;

    /// <inheritdoc/>
    public override void AfterPrompt(KernelContext context, ReadOnlySpan<HeadCache> heads)
    {
        foreach (HeadCache head in heads)
        {
            RankOffsets.FromGaps(head);
            for (int slot = 0; slot < head.Count; slot++)
                if (head.Offsets[slot] != 0) RotateFromOriginal(context, head, slot);
        }
    }

    /// <inheritdoc/>
    public override void Insert(KernelContext context, ReadOnlySpan<HeadCache> heads, ReadOnlySpan<int> slots, ReadOnlySpan<float> keys, ReadOnlySpan<float> values, int position)
    {
        for (int head = 0; head < heads.Length; head++)
        {
            HeadCache cache = heads[head];
            if (!RankOffsets.IsLive(cache, slots[head])) continue;
            int evicted = cache.Positions[slots[head]];
            RankOffsets.Evict(cache, slots[head]);
            for (int slot = 0; slot < cache.Capacity; slot++)
                if (cache.Positions[slot] < evicted && RankOffsets.IsLive(cache, slot)) RotateFromOriginal(context, cache, slot);
        }

        base.Insert(context, heads, slots, keys, values, position);
        for (int head = 0; head < heads.Length; head++) heads[head].SaveOriginalKey(slots[head]);
    }

    /// <inheritdoc/>
    public override unsafe int WriteRuns(HeadCache head, int position, IRotatedQueries queries, float* columnWeights, Span<AttentionRun> runs)
        => WritePages(head, 0, head.Capacity, queries.At(position), columnWeights, runs);

    private unsafe void RotateFromOriginal(KernelContext context, HeadCache head, int slot)
    {
        _deltas.Get(head.Offsets[slot], out ReadOnlySpan<float> cos, out ReadOnlySpan<float> sin);
        RopeRotation.RotateStoredRows(context, table, head.OriginalKey(slot, head.Capacity), head.Key(slot), shape.CacheType, 1, cos, sin);
        head.Rotations[slot] = head.Positions[slot] + head.Offsets[slot];
    }
}
