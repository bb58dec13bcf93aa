using Equip.Kernels.Rope;

namespace Equip.Kernels.KvCache.Baselines;

/// <summary>
/// Baseline C: as B, but a key is rotated while it moves, so that keys are read and written once. Six rows of traffic per
/// cached row and step, attention included.
/// </summary>
/// <param name="ranks">Cache positions.</param>
/// <param name="options">Policy and model.</param>
public sealed class FusedShiftStrategy(bool ranks, CacheStrategyOptions options) : OrderedStrategy(ranks, options)
{
    /// <inheritdoc/>
    public override string Name => "fused-shift";

    /// <inheritdoc/>
    protected override bool MovesRows => true;

    /// <inheritdoc/>
    protected override unsafe void UpdateRows(HeadCache head, int victim, int first, int count, void* nextKey, void* nextValue)
    {
        if (Ranks)
        {
            RopeRotation.RotateStoredDown(Context, Rope, head.Key(first), Shape.CacheType, count - 1, BackCos, BackSin);
            RopeRotation.RotateStoredRows(Context, Rope, nextKey, head.Key(first + count - 1), Shape.CacheType, 1, BackCos, BackSin);
        }
        else
        {
            MoveDown(head.Key(first), count, nextKey);
        }

        MoveDown(head.Value(first), count, nextValue);
    }
}
