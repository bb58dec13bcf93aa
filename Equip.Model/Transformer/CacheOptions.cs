using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;

namespace Equip.Model.Transformer;

/// <summary>The cache of one sequence: which tokens it keeps, where, and in what type.</summary>
public sealed record CacheOptions
{
    /// <summary>The policy's name: full, streaming, ... (see <see cref="EvictionPolicies"/>).</summary>
    public string Policy { get; init; } = "full";

    /// <summary>Tokens kept per KV head; ignored by full.</summary>
    public int Budget { get; init; } = 512;

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
    /// Tokens of a page; 0 for one page of the whole budget (a growing cache then grows by 256, heads of different counts by 32).
    /// </summary>
    public int PageTokens { get; init; }

    /// <summary>Newest tokens of a prompt whose queries score the others and that stay themselves; 0 for the policy's default.</summary>
    public int Window { get; init; }

    /// <summary>Odd number of neighbouring scores that are pooled; 0 for the policy's default.</summary>
    public int PoolKernel { get; init; }

    /// <summary>How scores are pooled.</summary>
    public PoolMode PoolMode { get; init; }

    /// <summary>How the budget is shared out, where the policy leaves it open.</summary>
    public Allocation Allocation { get; init; }

    /// <summary>How the score of a group of heads is read, where the policy leaves it open.</summary>
    public ScoreReading Reading { get; init; }

    /// <summary>What a policy that prunes a prompt does afterwards.</summary>
    public DecodeTail Then { get; init; }

    /// <summary>What the policy is made from.</summary>
    public PolicyOptions ForPolicy() => new()
    {
        BudgetTokens = Budget,
        SinkTokens = Sinks,
        RecentTokens = Recent,
        WindowTokens = Window,
        PoolKernel = PoolKernel,
        PoolMode = PoolMode,
        Allocation = Allocation,
        Reading = Reading,
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
            Allocation = scoring.Allocation,
            Reading = scoring.Reading,
            Then = scoring.Then,
        };
    }
}
