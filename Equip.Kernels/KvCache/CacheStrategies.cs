using Equip.Kernels.Attention;
using Equip.Kernels.KvCache.Baselines;
using Equip.Kernels.Memory;
using Equip.Kernels.Rope;

namespace Equip.Kernels.KvCache;

/// <summary>What a strategy needs to know of the policy and the model that it serves.</summary>
public sealed record CacheStrategyOptions
{
    /// <summary>First tokens that are never evicted, in slots [0, sinks).</summary>
    public required int SinkTokens { get; init; }

    /// <summary>Rows a head holds at most; 0 if the cache grows.</summary>
    public required int CapacityTokens { get; init; }

    /// <summary>Whether the policy always evicts the oldest token after the sinks.</summary>
    public required bool SlidingWindow { get; init; }

    /// <summary>Newest tokens that a policy by scores never evicts; 0 if it does not choose by scores.</summary>
    public int RecentTokens { get; init; }

    /// <summary>The model's rotation.</summary>
    public required RopeTable Rope { get; init; }

    /// <summary>The table that attention is given with the runs, shared by all sequences; <see cref="PositionScheme.CacheRotateOnRead"/> needs it.</summary>
    public RankAngles? KeyAngles { get; init; }

    /// <summary>Heads, head dimension, cache type.</summary>
    public required AttentionShape Shape { get; init; }

    /// <summary>Memory for what a step makes and drops, shared by strategies that never run at the same time; null for its own.</summary>
    public ScratchBuffer? Scratch { get; init; }
}

/// <summary>The strategies by update and positions.</summary>
public static class CacheStrategies
{
    /// <summary>Makes the strategy of one sequence.</summary>
    /// <exception cref="ArgumentException">The combination does not exist, or not for this policy.</exception>
    public static CacheStrategy Create(CacheUpdate update, PositionScheme positions, CacheStrategyOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);

        // Nothing is ever evicted from a growing cache: rank and position are the same, and all updates append.
        if (options.CapacityTokens == 0) return new OriginalPositions();
        PositionScheme resolved = Resolve(positions, options.SlidingWindow);
        if (update != CacheUpdate.InPlace) return CreateBaseline(update, resolved, options);
        return resolved switch
        {
            PositionScheme.Original => new OriginalPositions(),
            PositionScheme.CacheTwoQuery when options.SlidingWindow => new TwoQueryPositions(options.SinkTokens, options.CapacityTokens),
            PositionScheme.CacheLazy => new LazyPositions(options.CapacityTokens),
            PositionScheme.CacheRotateOnRead => new RotateOnReadPositions(options.CapacityTokens, options.KeyAngles ?? throw new ArgumentException("KeyAngles: got none, expected the model's for cache:rotate-on-read", nameof(options))),
            PositionScheme.CacheOlderSide => new OlderSidePositions(options.CapacityTokens, options.Rope, options.Shape),
            PositionScheme.CacheRerotateSinks when options.SlidingWindow => new RerotateSinksPositions(options.SinkTokens, options.CapacityTokens, options.Rope, options.Shape),
            PositionScheme.CacheTwoQuery or PositionScheme.CacheRerotateSinks
                => throw new ArgumentException("positions: cache:two-query and cache:rerotate-sinks serve sinks and a sliding window only (policy streaming); use cache:lazy", nameof(positions)),
            _ => throw new ArgumentOutOfRangeException(nameof(positions), positions, "not a PositionScheme"),
        };
    }

    /// <summary>A baseline has one way to realise cache positions, its own.</summary>
    private static CacheStrategy CreateBaseline(CacheUpdate update, PositionScheme positions, CacheStrategyOptions options)
    {
        if (options.Rope.Options.Layout != RopeLayout.HalfSplit) throw new ArgumentException("update: the baselines rotate half-split pairs only", nameof(options));
        bool ranks = positions != PositionScheme.Original;
        return update switch
        {
            CacheUpdate.Functional => new FunctionalStrategy(ranks, repeatKv: false, options),
            CacheUpdate.FunctionalRepeatKv => new FunctionalStrategy(ranks, repeatKv: true, options),
            CacheUpdate.Memmove => new MemmoveStrategy(ranks, options),
            CacheUpdate.FusedShift => new FusedShiftStrategy(ranks, options),
            CacheUpdate.RingRotate => new RingRotateStrategy(ranks, options),
            _ => throw new ArgumentOutOfRangeException(nameof(update), update, "not a CacheUpdate"),
        };
    }

    /// <summary>The realisation behind <see cref="PositionScheme.Cache"/>.</summary>
    public static PositionScheme Resolve(PositionScheme positions, bool slidingWindow)
        => positions != PositionScheme.Cache ? positions : slidingWindow ? PositionScheme.CacheTwoQuery : PositionScheme.CacheLazy;
}
