using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Eviction;

/// <summary>
/// H2O (arXiv 2306.14048): a token's score is the attention it has received so far, summed over queries and the group's heads.
/// The newest <c>recent</c> tokens stay, and of the others the <c>budget - recent</c> with the highest scores. As in the paper
/// the new token attends before the eviction, so a head holds budget + 1 rows; here the victim's slot is simply the next one
/// to be written, and recency is read off positions, so nothing is ever moved. One set per KV head.
/// </summary>
public sealed class H2OPolicy : IEvictionPolicy
{
    private readonly int _budget;
    private readonly int _recent;

    /// <summary>Makes the policy of one sequence; without a recent count half of the budget is recent.</summary>
    /// <exception cref="ArgumentException">The budget is not positive, or recent is not in [1, budget].</exception>
    public H2OPolicy(PolicyOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Require.InRange(options.BudgetTokens, 2, int.MaxValue - 1, "budget");
        _budget = options.BudgetTokens;
        _recent = options.RecentTokens == 0 ? _budget / 2 : options.RecentTokens;
        Require.InRange(_recent, 1, _budget, "recent");
    }

    /// <summary>The policy's row in the table.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "h2o",
        Paper = "H2O, arXiv 2306.14048",
        Lossy = true,
        QueryAware = true,
        ActsAtPrefill = true,
        ActsAtDecode = true,
        Positions = "original (the authors' default class), cache (their streaming class)",
    };

    /// <inheritdoc/>
    public PolicyInfo Info => Description;

    /// <inheritdoc/>
    public int CapacityTokens => _budget + 1;

    /// <inheritdoc/>
    public int RecentTokens => _recent;

    /// <inheritdoc/>
    public bool WantsColumnSums => true;

    /// <inheritdoc/>
    public bool ObservesAttention => true;

    /// <inheritdoc/>
    public bool ObservesHeadsApart => true;

    /// <inheritdoc/>
    public void AfterPromptLayer(PromptLayer prompt, SequenceCache cache)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        Require.AtLeast(prompt.ColumnSums.Length, (long)prompt.Shape.KvHeads * prompt.Rows);
        float[] sums = prompt.ColumnSums.ToArray();
        for (int head = 0; head < prompt.Shape.KvHeads; head++)
        {
            Span<float> scores = sums.AsSpan(head * prompt.Rows, prompt.Rows);
            ScoreSums.Add(scores[..prompt.Past], prompt.PastScores.Span.Slice(head * prompt.Past, prompt.Past));
            int[] kept = Keep(scores);
            prompt.Store(head, kept, Array.ConvertAll(kept, row => sums[(head * prompt.Rows) + row]));
        }
    }

    /// <inheritdoc/>
    public void ChooseSlots(ReadOnlySpan<HeadCache> heads, int position, Span<int> slots)
    {
        for (int head = 0; head < heads.Length; head++)
            slots[head] = heads[head].PendingVictim >= 0 ? heads[head].PendingVictim : heads[head].NextFreeSlot();
    }

    /// <inheritdoc/>
    public void Observe(ReadOnlySpan<HeadCache> heads, int position, ColumnWeights received)
    {
        for (int head = 0; head < heads.Length; head++) ChooseVictim(heads[head], position, received.Of(head, heads[head].Capacity));
    }

    /// <inheritdoc/>
    public void ObserveNothing(ReadOnlySpan<HeadCache> heads, int position)
    {
        foreach (HeadCache cache in heads) ChooseVictim(cache, position, default);
    }

    private void ChooseVictim(HeadCache cache, int position, ReadOnlySpan<float> received)
    {
        if (cache.Count > _budget) cache.PendingVictim = Victims.Lowest(cache, cache.Scores, position + 1 - _recent, received);
        else
        {
            cache.PendingVictim = -1;
            ScoreSums.Add(cache.Scores[..received.Length], received);
        }
    }

    /// <summary>The rows that stay: the newest, and the best of the others.</summary>
    internal int[] Keep(ReadOnlySpan<float> scores)
    {
        int recent = Math.Min(_recent, scores.Length), others = scores.Length - recent;
        int[] kept = new int[Math.Min(scores.Length, _budget)];
        TopK.Select(scores[..others], kept.AsSpan(0, kept.Length - recent));
        for (int i = 0; i < recent; i++) kept[kept.Length - recent + i] = others + i;
        return kept;
    }
}
