using Equip.Kernels.Rope;

namespace Equip.Kernels.KvCache.Baselines;

/// <summary>
/// Baseline C: as B, but a few rows at a time are moved and rotated while they are in the first cache level, so that keys cross
/// memory once. Six rows of traffic per cached row and step, attention included.
/// </summary>
/// <param name="ranks">Cache positions.</param>
/// <param name="options">Policy and model.</param>
public sealed class FusedShiftStrategy(bool ranks, CacheStrategyOptions options) : OrderedStrategy(ranks, options)
{
    // 16 rows of 128 float32 are 8 KB.
    private const int BlockRows = 16;

    /// <inheritdoc/>
    public override string Name => "fused-shift";

    /// <inheritdoc/>
    protected override unsafe int MakeRoom(HeadCache head, int victim)
    {
        int last = head.Count - 1;
        for (int row = victim; row < last; row += BlockRows)
        {
            int count = Math.Min(BlockRows, last - row);
            long bytes = (long)count * Shape.RowBytes;
            Buffer.MemoryCopy(head.Key(row + 1), head.Key(row), bytes, bytes);
            if (Ranks) RopeRotation.RotateStored(Context, Rope, head.Key(row), Shape.CacheType, count, BackCos, BackSin);
            Buffer.MemoryCopy(head.Value(row + 1), head.Value(row), bytes, bytes);
        }

        head.ShiftDescriptions(victim);
        if (!Ranks) return head.Count;
        foreach (ref int rotation in head.Rotations[victim..last]) rotation--;
        return head.Count;
    }
}
