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
    protected override bool MovesRows => true;

    /// <inheritdoc/>
    protected override unsafe void UpdateRows(HeadCache head, int victim, int first, int count, void* nextKey, void* nextValue)
    {
        // Keys are rotated before the values move: what the second level holds of them is still there.
        MoveDown(head.Key(first), count, nextKey);
        if (Ranks) RopeRotation.RotateStored(Context, Rope, head.Key(first), Shape.CacheType, count, BackCos, BackSin);
        MoveDown(head.Value(first), count, nextValue);
    }
}
