using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Rope;

namespace Equip.Kernels.KvCache;

/// <summary>
/// Cache positions for sinks plus a sliding window with one query: the window lives in an ever-growing frame, and at every step
/// the sinks are rotated into it anew, from copies of their keys as first written.
/// </summary>
/// <param name="sinks">Slots [0, sinks) hold the sinks.</param>
/// <param name="budget">Live tokens of a full cache.</param>
/// <param name="table">The model's rotation.</param>
/// <param name="shape">The attention shape, for row size and type.</param>
public sealed class RerotateSinksPositions(int sinks, int budget, RopeTable table, AttentionShape shape) : CacheStrategy(budget)
{
    private readonly AngleCache _deltas = new(table, deltas: true);

    /// <inheritdoc/>
    public override string Name => "cache:rerotate-sinks";

    /// <inheritdoc/>
    public override bool ExtendsEvictedCache => false;

    /// <inheritdoc/>
    public override int KeyRotation(int position) => position;

    /// <inheritdoc/>
    public override int MaxRuns(HeadCache head) => head.PageCount;

    /// <inheritdoc/>
    public override unsafe void Insert(KernelContext context, ReadOnlySpan<HeadCache> heads, ReadOnlySpan<int> slots, ReadOnlySpan<float> keys, ReadOnlySpan<float> values, int position)
    {
        base.Insert(context, heads, slots, keys, values, position);
        int drift = position - SinkQueryRotation(position);
        if (drift == 0 || sinks == 0) return;
        _deltas.Get(drift, out ReadOnlySpan<float> cos, out ReadOnlySpan<float> sin);
        foreach (HeadCache head in heads)
        {
            for (int slot = 0; slot < sinks; slot++)
            {
                RopeRotation.RotateStoredRows(context, table, head.OriginalKey(slot, sinks), head.Key(slot), shape.CacheType, 1, cos, sin);
                head.Rotations[slot] = head.Positions[slot] + drift;
            }
        }
    }

    /// <inheritdoc/>
    public override unsafe int WriteRuns(HeadCache head, int position, IRotatedQueries queries, float* columnWeights, Span<AttentionRun> runs)
        => WritePages(head, 0, head.Capacity, queries.At(position), columnWeights, runs);
}
