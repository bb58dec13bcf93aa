using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Eviction;

/// <summary>
/// TOVA (arXiv 2401.06104): the token that the newest query attends least goes, the newest token itself never. The mean over
/// all heads of a layer decides, so that a layer's heads hold the same tokens. The new token attends before the eviction: a
/// head holds budget + 1 rows, and the victim's slot is the next one to be written. After a token that did not attend (Token Filtering)
/// the shares of the last one that did decide, and a token that no query has seen yet stays [GUESS].
/// </summary>
public sealed class TovaPolicy : IEvictionPolicy
{
    private readonly int _budget;
    private float[] _mean = [];

    /// <summary>Makes the policy of one sequence.</summary>
    /// <exception cref="ArgumentException">The budget is under 2.</exception>
    public TovaPolicy(PolicyOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Require.InRange(options.BudgetTokens, 2, int.MaxValue - 1, "budget");
        _budget = options.BudgetTokens;
    }

    /// <summary>The policy's row in the table.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "tova",
        Paper = "TOVA, arXiv 2401.06104",
        Lossy = true,
        QueryAware = true,
        ActsAtPrefill = true,
        ActsAtDecode = true,
        Positions = "original, cache",
    };

    /// <inheritdoc/>
    public PolicyInfo Info => Description;

    /// <inheritdoc/>
    public int CapacityTokens => _budget + 1;

    /// <inheritdoc/>
    public int PromptQueryTokens => 1;

    /// <inheritdoc/>
    public bool ObservesAttention => true;

    /// <inheritdoc/>
    public void AfterPromptLayer(PromptLayer prompt, SequenceCache cache)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        int rows = prompt.Rows;
        float[] probabilities = prompt.WindowProbabilities(1), mean = new float[rows];
        for (int head = 0; head < prompt.Shape.Heads; head++)
            ScoreSums.Add(mean, probabilities.AsSpan(head * rows, rows));
        int[] kept = new int[Math.Min(rows, _budget)];
        TopK.Select(mean.AsSpan(0, rows - 1), kept.AsSpan(0, kept.Length - 1));
        kept[^1] = rows - 1;
        float[] scores = Array.ConvertAll(kept, row => mean[row]);
        for (int head = 0; head < prompt.Shape.KvHeads; head++) prompt.Store(head, kept, scores);
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
        // The heads' slots run in step, so slot i is the same token in all of them.
        int capacity = heads[0].Capacity;
        if (_mean.Length < capacity) _mean = new float[capacity];
        Span<float> mean = _mean.AsSpan(0, capacity);
        mean.Clear();
        for (int head = 0; head < heads.Length; head++)
            ScoreSums.Add(mean, received.Of(head, capacity));
        foreach (HeadCache head in heads) mean.CopyTo(head.Scores);
        ChooseVictim(heads, position);
    }

    /// <inheritdoc/>
    public void ObserveNothing(ReadOnlySpan<HeadCache> heads, int position)
    {
        foreach (HeadCache head in heads) head.Scores[head.Positions.IndexOf(position)] = float.PositiveInfinity;
        ChooseVictim(heads, position);
    }

    private void ChooseVictim(ReadOnlySpan<HeadCache> heads, int position)
    {
        int victim = heads[0].Count > _budget ? Victims.Lowest(heads[0], heads[0].Scores, position) : -1;
        foreach (HeadCache head in heads) head.PendingVictim = victim;
    }
}
