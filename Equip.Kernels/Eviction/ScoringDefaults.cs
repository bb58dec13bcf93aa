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

    /// <summary>How the budget is shared out.</summary>
    public Allocation Allocation { get; init; } = Allocation.Head;

    /// <summary>Whether that can be chosen.</summary>
    public bool AllocationIsOpen { get; init; }

    /// <summary>Share of the even budget that every head keeps when the heads of a layer compete.</summary>
    public double Floor { get; init; }

    /// <summary>The reading of a group's score; <see cref="ScoreReading.Policy"/> where there is but one.</summary>
    public ScoreReading Reading { get; init; }

    /// <summary>SnapKV's: window 32, kernel 7.</summary>
    public static ScoringDefaults Window32Pool7 { get; } = new() { Window = 32, ScoresByWindow = true, PoolKernel = 7 };
}
