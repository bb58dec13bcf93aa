using Equip.Kernels.Rope;

namespace Equip.Kernels.KvCache.Baselines;

/// <summary>
/// Baseline D (Intel Neural Speed's "shift-RoPE-K"): the new token takes the freed slot, nothing moves, and every younger key
/// is rotated by -1 where it lies. Four rows of traffic per cached row and step, attention included.
/// </summary>
/// <param name="ranks">Cache positions; with original ones this is the in-place write.</param>
/// <param name="options">Policy and model.</param>
public sealed class RingRotateStrategy(bool ranks, CacheStrategyOptions options) : OrderedStrategy(ranks, options)
{
    /// <inheritdoc/>
    public override string Name => "ring-rotate";

    /// <inheritdoc/>
    protected override bool MovesRows => false;

    /// <inheritdoc/>
    protected override unsafe void UpdateRows(HeadCache head, int victim, int first, int count, void* nextKey, void* nextValue)
    {
        ReadOnlySpan<int> positions = head.Positions;
        int evicted = positions[victim], end = first + count;
        for (; first < end; first++)
        {
            if (positions[first] <= evicted) continue;
            int after = first + 1;
            while (after < end && positions[after] > evicted) after++;
            RopeRotation.RotateStored(Context, Rope, head.Key(first), Shape.CacheType, after - first, BackCos, BackSin);
            foreach (ref int rotation in head.Rotations[first..after]) rotation--;
            first = after;
        }
    }
}
