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
    protected override unsafe int MakeRoom(HeadCache head, int victim)
    {
        if (!Ranks) return victim;
        int evicted = head.Positions[victim], end = head.Count;
        for (int first = 0; first < end; first++)
        {
            if (head.Positions[first] <= evicted) continue;
            int after = first + 1;
            while (after < end && head.Positions[after] > evicted) after++;
            RopeRotation.RotateStored(Context, Rope, head.Key(first), Shape.CacheType, after - first, BackCos, BackSin);
            foreach (ref int rotation in head.Rotations[first..after]) rotation--;
            first = after;
        }

        return victim;
    }
}
