using Equip.Kernels.KvCache;

namespace Equip.Kernels.Eviction;

/// <summary>
/// StreamingLLM (arXiv 2309.17453): the first <c>sinks</c> tokens and the newest <c>budget - sinks</c>, the current one
/// included. Slots [0, sinks) hold the sinks; the rest is a ring whose oldest slot is overwritten (EQUIP's in-place form).
/// The authors' code evicts after attending in one script and before in another; this is the second order, so the budget
/// is never exceeded. Prompts are streamed through the same cache: a token sees what it would have seen one by one.
/// </summary>
public sealed class StreamingPolicy : IEvictionPolicy
{
    private readonly int _sinks;
    private readonly int _budget;

    /// <summary>Makes the policy of one sequence.</summary>
    /// <exception cref="ArgumentException">The budget leaves no room for a window after the sinks.</exception>
    public StreamingPolicy(PolicyOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Require.InRange(options.SinkTokens, 0, int.MaxValue - 1, "sinks");
        Require.InRange(options.BudgetTokens, options.SinkTokens + 1L, int.MaxValue, "budget");
        _sinks = options.SinkTokens;
        _budget = options.BudgetTokens;
    }

    /// <summary>The policy's row in the table.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "streaming",
        Paper = "StreamingLLM, arXiv 2309.17453",
        Lossy = true,
        QueryAware = false,
        ActsAtPrefill = true,
        ActsAtDecode = true,
        Positions = "cache (the paper's), original",
    };

    /// <inheritdoc/>
    public PolicyInfo Info => Description;

    /// <inheritdoc/>
    public int CapacityTokens => _budget;

    /// <inheritdoc/>
    public PromptMask Mask => new(_budget - _sinks, _sinks);

    /// <inheritdoc/>
    public void AfterPromptLayer(PromptLayer prompt, SequenceCache cache)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        int[] kept = Keep(prompt.Rows);
        for (int head = 0; head < prompt.Shape.KvHeads; head++) prompt.Store(head, kept);
    }

    /// <summary>The rows that stay of <paramref name="rows"/> in order of age.</summary>
    internal int[] Keep(int rows)
    {
        int[] kept = new int[Math.Min(rows, _budget)];
        for (int i = 0; i < kept.Length; i++) kept[i] = i < _sinks ? i : i + rows - kept.Length;
        return kept;
    }

    /// <inheritdoc/>
    public void ChooseSlots(ReadOnlySpan<HeadCache> heads, int position, Span<int> slots)
    {
        for (int head = 0; head < heads.Length; head++) slots[head] = ChooseSlot(heads[head]);
    }

    private int ChooseSlot(HeadCache head)
    {
        if (head.Count < _budget) return head.NextFreeSlot();

        // The ring's oldest slot. A prompt is laid down in order of age, so the ring starts at the first slot after the sinks.
        int oldest = head.PendingVictim < 0 ? _sinks : head.PendingVictim;
        head.PendingVictim = oldest + 1 == _budget ? _sinks : oldest + 1;
        return oldest;
    }
}
