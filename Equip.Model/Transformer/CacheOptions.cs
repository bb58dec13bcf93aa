using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Model.Pruning;

namespace Equip.Model.Transformer;

/// <summary>The cache of one sequence: which tokens it keeps, where, and in what type; and what of the model its decode steps leave out.</summary>
public sealed record CacheOptions
{
    /// <summary>The policy's name: full, streaming, ... (see <see cref="EvictionPolicies"/>).</summary>
    public string Policy { get; init; } = "full";

    /// <summary>Tokens kept per KV head; ignored by full.</summary>
    public int Budget { get; init; } = 512;

    /// <summary>
    /// Instead of a budget, the fraction of a prompt's tokens that is kept, in (0, 1] (kvpress's compression_ratio is 1 minus this); 0
    /// if <see cref="Budget"/> counts. A sequence is made from what <see cref="ForPrompt"/> makes of it.
    /// </summary>
    public double Ratio { get; init; }

    /// <summary>First tokens that are never evicted.</summary>
    public int Sinks { get; init; } = 4;

    /// <summary>Newest tokens that are never evicted, by policies that distinguish them; 0 for the policy's default.</summary>
    public int Recent { get; init; }

    /// <summary>How evict and insert are carried out.</summary>
    public CacheUpdate Update { get; init; } = CacheUpdate.InPlace;

    /// <summary>The position convention; null for the policy's own (cache for streaming, as its paper; original for the others).</summary>
    public PositionScheme? Positions { get; init; }

    /// <summary>How K and V are stored.</summary>
    public DataType KvType { get; init; } = DataType.F16;

    /// <summary>
    /// Tokens of a page; 0 for one page of the whole budget (a growing cache then grows by 256, heads of different counts by 32, pagedeviction by 16).
    /// </summary>
    public int PageTokens { get; init; }

    /// <summary>Newest tokens of a prompt whose queries score the others and that stay themselves; 0 for the policy's default.</summary>
    public int Window { get; init; }

    /// <summary>Odd number of neighbouring scores that are pooled; 0 for the policy's default.</summary>
    public int PoolKernel { get; init; }

    /// <summary>How scores are pooled.</summary>
    public PoolMode PoolMode { get; init; }

    /// <summary>How a row's attention becomes one number, where the policy leaves it open.</summary>
    public ColumnReduction Reduction { get; init; }

    /// <summary>How the budget is shared out, where the policy leaves it open.</summary>
    public Allocation Allocation { get; init; }

    /// <summary>How the score of a group of heads is read, where the policy leaves it open.</summary>
    public ScoreReading Reading { get; init; }

    /// <summary>What a policy that prunes a prompt does afterwards.</summary>
    public DecodeTail Then { get; init; }

    /// <summary>Which tokens skip attention while decoding (Token Filtering); null for none.</summary>
    public TokenFilterOptions? Filter { get; init; }

    /// <summary>With <see cref="Ratio"/> turned into the nearest <see cref="Budget"/> (at least 1) for a prompt of some tokens; the same without a ratio.</summary>
    /// <exception cref="ArgumentException">The ratio is not in [0, 1].</exception>
    public CacheOptions ForPrompt(int tokens)
    {
        if (!(Ratio is >= 0 and <= 1)) throw new ArgumentException($"ratio: got {Ratio}, expected above 0 and at most 1");
        return Ratio == 0 ? this : this with { Budget = Math.Max(1, (int)Math.Round(Ratio * tokens)), Ratio = 0 };
    }

    /// <summary>Which channels of the feed-forward blocks are computed while decoding; null for all.</summary>
    public ChannelOptions? Channels { get; init; }

    /// <summary>What the policy is made from.</summary>
    public PolicyOptions ForPolicy() => new()
    {
        BudgetTokens = Budget,
        SinkTokens = Sinks,
        RecentTokens = Recent,
        WindowTokens = Window,
        PoolKernel = PoolKernel,
        PoolMode = PoolMode,
        Reduction = Reduction,
        Allocation = Allocation,
        Reading = Reading,
        PageTokens = PageTokens,
        Then = Then,
    };

    /// <summary>With the policy's defaults filled in, and nothing said of what it does not use.</summary>
    internal CacheOptions Resolve(IEvictionPolicy policy)
    {
        PolicyOptions scoring = policy.Scoring ?? new PolicyOptions();
        return this with
        {
            Window = scoring.WindowTokens,
            PoolKernel = scoring.PoolKernel,
            PoolMode = scoring.PoolMode,
            Reduction = scoring.Reduction,
            Allocation = scoring.Allocation,
            Reading = scoring.Reading,
            Then = scoring.Then,
        };
    }
}
