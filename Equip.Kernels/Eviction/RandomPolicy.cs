using Equip.Kernels.KvCache;

namespace Equip.Kernels.Eviction;

/// <summary>
/// A control: a token chosen at random goes, the sinks and the newest <c>recent</c> tokens never. The choice is a hash of
/// position, head and token, so a run can be repeated.
/// </summary>
public sealed class RandomPolicy : IEvictionPolicy
{
    private readonly int _budget;
    private readonly int _sinks;
    private readonly int _recent;

    /// <summary>Makes the policy of one sequence.</summary>
    /// <exception cref="ArgumentException">Sinks and recent leave nothing to choose from.</exception>
    public RandomPolicy(PolicyOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Require.InRange(options.SinkTokens, 0, int.MaxValue, "sinks");
        Require.InRange(options.RecentTokens, 0, int.MaxValue, "recent");
        _sinks = options.SinkTokens;
        _recent = Math.Max(1, options.RecentTokens);
        _budget = options.BudgetTokens;
        Require.InRange(_budget, (long)_sinks + _recent + 1, int.MaxValue, "budget");
    }

    /// <summary>The policy's row in the table.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "random",
        Paper = "none: a control",
        Lossy = true,
        QueryAware = false,
        ActsAtPrefill = true,
        ActsAtDecode = true,
        Positions = "original, cache",
    };

    /// <inheritdoc/>
    public PolicyInfo Info => Description;

    /// <inheritdoc/>
    public int CapacityTokens => _budget;

    /// <inheritdoc/>
    public void AfterPromptLayer(PromptLayer prompt, SequenceCache cache)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        for (int head = 0; head < prompt.Shape.KvHeads; head++)
        {
            float[] scores = new float[prompt.Rows];
            for (int row = 0; row < scores.Length; row++)
            {
                bool stays = row < _sinks || row >= prompt.Rows - _recent;
                scores[row] = stays ? float.PositiveInfinity : Hash((((uint)prompt.Layer * 977) + (uint)head) ^ ((uint)row << 12)) / 4294967296f;
            }

            int[] kept = new int[Math.Min(prompt.Rows, _budget)];
            Numerics.TopK.Select(scores, kept);
            prompt.Store(head, kept);
        }
    }

    /// <inheritdoc/>
    public void ChooseSlots(ReadOnlySpan<HeadCache> heads, int position, Span<int> slots)
    {
        for (int head = 0; head < heads.Length; head++)
        {
            HeadCache cache = heads[head];
            slots[head] = cache.Count < _budget ? cache.NextFreeSlot() : Draw(cache, position, head);
        }
    }

    private int Draw(HeadCache cache, int position, int head)
    {
        // At least one slot is eligible unless the caller's positions are no text's, so some draw hits it.
        uint draw = Hash((uint)position ^ ((uint)head << 24));
        for (long draws = 0; draws < 64L * cache.Capacity; draws++, draw = Hash(draw + 1))
        {
            int slot = (int)(draw % (uint)cache.Capacity);
            if (slot % cache.PageTokens >= cache.LiveInPage(slot / cache.PageTokens)) continue;
            if (cache.Positions[slot] >= _sinks && cache.Positions[slot] < position - (_recent - 1)) return slot;
        }

        throw new InvalidOperationException($"position: got {position}, but no cached token lies between the {_sinks} sinks and the {_recent} newest");
    }

    /// <summary>A 32-bit mixing function (lowbias32).</summary>
    private static uint Hash(uint x)
    {
        x ^= x >> 16;
        x *= 0x7feb352d;
        x ^= x >> 15;
        x *= 0x846ca68b;
        return x ^ (x >> 16);
    }
}
