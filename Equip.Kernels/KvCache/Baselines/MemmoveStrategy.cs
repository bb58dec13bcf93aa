using Equip.Kernels.Rope;

namespace Equip.Kernels.KvCache.Baselines;

/// <summary>
/// Baseline B: the hole is closed by moving every younger row down by one, K and V, and the moved keys are rotated by -1 in
/// place. Eight rows of traffic per cached row and step, attention included.
/// </summary>
/// <param name="ranks">Cache positions.</param>
/// <param name="options">Policy and model.</param>
public sealed class MemmoveStrategy(bool ranks, CacheStrategyOptions options) : OrderedStrategy(ranks, options)
{
    /// <inheritdoc/>
    public override string Name => "memmove";

    /// <inheritdoc/>
    protected override unsafe int MakeRoom(HeadCache head, int victim)
    {
        int moved = head.Count - victim - 1;
        long bytes = (long)moved * Shape.RowBytes;
        if (moved > 0)
        {
            Buffer.MemoryCopy(head.Key(victim + 1), head.Key(victim), bytes, bytes);
            Buffer.MemoryCopy(head.Value(victim + 1), head.Value(victim), bytes, bytes);
        }

        head.ShiftDescriptions(victim);
        if (!Ranks || moved == 0) return head.Count;
        RopeRotation.RotateStored(Context, Rope, head.Key(victim), Shape.CacheType, moved, BackCos, BackSin);
        foreach (ref int rotation in head.Rotations.Slice(victim, moved)) rotation--;
        return head.Count;
    }
}
