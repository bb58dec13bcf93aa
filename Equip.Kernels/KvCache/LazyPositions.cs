using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;

namespace Equip.Kernels.KvCache;

/// <summary>
/// Cache positions for arbitrary holes without rotating a key: every slot keeps an integer offset, and the keys of one offset
/// are attended with a query rotated that much less. The number of rotated queries is the number of distinct offsets, the
/// number of runs that of changes of offset in slot order.
/// </summary>
/// <param name="budget">Live tokens of a full cache.</param>
public sealed class LazyPositions(int budget) : CacheStrategy(budget)
{
    /// <inheritdoc/>
    public override string Name => "cache:lazy";

    /// <inheritdoc/>
    public override bool ExtendsEvictedCache => false;

    /// <inheritdoc/>
    public override int KeyRotation(int position) => position;

    /// <inheritdoc/>
    public override int MaxRuns(HeadCache head) => head.Count;

    /// <inheritdoc/>
    public override void AfterPrompt(KernelContext context, ReadOnlySpan<HeadCache> heads)
    {
        foreach (HeadCache head in heads) RankOffsets.FromGaps(head);
    }

    /// <inheritdoc/>
    public override void Insert(KernelContext context, ReadOnlySpan<HeadCache> heads, ReadOnlySpan<int> slots, ReadOnlySpan<float> keys, ReadOnlySpan<float> values, int position)
    {
        for (int head = 0; head < heads.Length; head++)
            if (RankOffsets.IsLive(heads[head], slots[head])) RankOffsets.Evict(heads[head], slots[head]);
        base.Insert(context, heads, slots, keys, values, position);
    }

    /// <inheritdoc/>
    public override unsafe int WriteRuns(HeadCache head, int position, IRotatedQueries queries, float* columnWeights, Span<AttentionRun> runs)
    {
        int written = 0;
        ReadOnlySpan<int> offsets = head.Offsets;
        for (int page = 0; page < head.PageCount; page++)
        {
            int first = page * head.PageTokens, end = first + head.LiveInPage(page);
            for (int slot = first; slot < end; slot = first)
            {
                int offset = offsets[slot];
                for (first++; first < end && offsets[first] == offset; first++)
                {
                }

                runs[written++] = new AttentionRun
                {
                    Keys = head.Key(slot),
                    Values = head.Value(slot),
                    Queries = queries.At(position - offset),
                    ColumnWeights = columnWeights == null ? null : columnWeights + slot,
                    Tokens = first - slot,
                };
            }
        }

        return written;
    }
}
