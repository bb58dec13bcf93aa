using Equip.Kernels.Numerics;

namespace Equip.Model.Transformer;

/// <summary>How evict and insert are carried out.</summary>
public enum CacheUpdate
{
    /// <summary>One K and one V row per KV head are written into the freed slot.</summary>
    InPlace,
}

/// <summary>Which position a kept key has, and how that is brought about.</summary>
public enum PositionScheme
{
    /// <summary>A key keeps the position it was born with.</summary>
    Original,

    /// <summary>Rank among live tokens, by two rotated copies of the query; no key is ever rotated again.</summary>
    CacheTwoQuery,
}

/// <summary>The cache of one sequence: which tokens it keeps, where, and in what type.</summary>
public sealed record CacheOptions
{
    /// <summary>The policy's name: full, streaming, ... (see <see cref="Equip.Kernels.Eviction.EvictionPolicies"/>).</summary>
    public string Policy { get; init; } = "full";

    /// <summary>Tokens kept per KV head; ignored by full.</summary>
    public int Budget { get; init; } = 512;

    /// <summary>First tokens that are never evicted.</summary>
    public int Sinks { get; init; } = 4;

    /// <summary>How evict and insert are carried out.</summary>
    public CacheUpdate Update { get; init; } = CacheUpdate.InPlace;

    /// <summary>The position convention.</summary>
    public PositionScheme Positions { get; init; } = PositionScheme.CacheTwoQuery;

    /// <summary>How K and V are stored.</summary>
    public DataType KvType { get; init; } = DataType.F16;

    /// <summary>Tokens of a page; 0 for one page of the whole budget (a growing cache then grows by 256).</summary>
    public int PageTokens { get; init; }
}
