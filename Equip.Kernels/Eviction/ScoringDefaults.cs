namespace Equip.Kernels.Eviction;

/// <summary>What a policy that scores a prompt does unless told otherwise.</summary>
internal sealed record ScoringDefaults
{
    /// <summary>First rows that always stay.</summary>
    public int First { get; init; }

    /// <summary>Newest rows that always stay.</summary>
    public int Window { get; init; }

    /// <summary>Whether the window's queries score the other rows; then there is a window.</summary>
    public bool ScoresByWindow { get; init; }

    /// <summary>Scores pooled; 0 for a policy that does not pool.</summary>
    public int PoolKernel { get; init; }

    /// <summary>How they are pooled.</summary>
    public PoolMode PoolMode { get; init; }

    /// <summary>How the budget is shared out.</summary>
    public Allocation Allocation { get; init; } = Allocation.Head;

    /// <summary>Whether that can be chosen.</summary>
    public bool AllocationIsOpen { get; init; }

    /// <summary>Share of the even budget that every head keeps when the heads of a layer compete.</summary>
    public double Floor { get; init; }

    /// <summary>The reduction of a row's attention; <see cref="ColumnReduction.Policy"/> where there is but one.</summary>
    public ColumnReduction Reduction { get; init; }

    /// <summary>The reading of a group's score; <see cref="ScoreReading.Policy"/> where there is but one.</summary>
    public ScoreReading Reading { get; init; }

    /// <summary>What happens after the prompt.</summary>
    public DecodeTail Then { get; init; } = DecodeTail.Grow;

    /// <summary>Tokens of a page that suit the policy: few, as heads of different counts waste half a page each; but a page is also a run of the attention kernel.</summary>
    public int PageTokens { get; init; } = 32;

    /// <summary>
    /// Window 32 as in the papers, and the largest of 15 neighbours where they pool 7: chosen by measurement on the default model, where a
    /// kernel of 7 reaches too few neighbours of an attended token, and at 15 the largest beats the average for all of these policies.
    /// </summary>
    public static ScoringDefaults Window32Pool15 { get; } = new() { Window = 32, ScoresByWindow = true, PoolKernel = 15, PoolMode = PoolMode.Max };
}
