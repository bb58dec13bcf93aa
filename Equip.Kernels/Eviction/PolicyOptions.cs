namespace Equip.Kernels.Eviction;

/// <summary>The parameters that policies share.</summary>
public sealed record PolicyOptions
{
    /// <summary>Tokens kept per KV head, the newest included.</summary>
    public int BudgetTokens { get; init; } = 512;

    /// <summary>First tokens that are never evicted.</summary>
    public int SinkTokens { get; init; } = 4;

    /// <summary>Newest tokens that are never evicted, by policies that distinguish them; 0 for the policy's own default.</summary>
    public int RecentTokens { get; init; }

    /// <summary>
    /// Newest tokens of a prompt that always stay; policies that score by attention take their queries. Counted in the budget; 0 for
    /// the policy's own default.
    /// </summary>
    public int WindowTokens { get; init; }

    /// <summary>Odd number of neighbouring scores that are pooled, by policies that pool; 0 for the policy's own default.</summary>
    public int PoolKernel { get; init; }

    /// <summary>How scores are pooled, by policies that pool.</summary>
    public PoolMode PoolMode { get; init; }

    /// <summary>How a row's attention becomes one number, by policies that leave it open.</summary>
    public ColumnReduction Reduction { get; init; }

    /// <summary>How the budget is shared out, by policies that leave it open.</summary>
    public Allocation Allocation { get; init; }

    /// <summary>How the score of a group of heads is read, by policies that leave it open.</summary>
    public ScoreReading Reading { get; init; }

    /// <summary>Tokens of a page, by policies that evict whole pages; 0 for the policy's own default.</summary>
    public int PageTokens { get; init; }

    /// <summary>What happens after the prompt, by policies that act on prompts only.</summary>
    public DecodeTail Then { get; init; }
}
