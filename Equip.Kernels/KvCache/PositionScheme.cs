namespace Equip.Kernels.KvCache;

/// <summary>Which position a kept key has, and how that is brought about.</summary>
public enum PositionScheme
{
    /// <summary>A key keeps the position it was born with (<see cref="OriginalPositions"/>).</summary>
    Original,

    /// <summary>Rank among live tokens, by the realisation that suits the policy.</summary>
    Cache,

    /// <summary>Rank among live tokens, by two rotated copies of the query (<see cref="TwoQueryPositions"/>).</summary>
    CacheTwoQuery,

    /// <summary>Rank among live tokens, by rotating the sinks at every step (<see cref="RerotateSinksPositions"/>).</summary>
    CacheRerotateSinks,

    /// <summary>Rank among live tokens with arbitrary holes, by offsets and rotated queries (<see cref="LazyPositions"/>).</summary>
    CacheLazy,

    /// <summary>Rank among live tokens with arbitrary holes, by keys stored unrotated and rotated when read (<see cref="RotateOnReadPositions"/>).</summary>
    CacheRotateOnRead,

    /// <summary>Rank among live tokens with arbitrary holes, by rotating older keys (<see cref="OlderSidePositions"/>).</summary>
    CacheOlderSide,
}
