namespace Equip.Kernels.KvCache;

/// <summary>How evict and insert are carried out.</summary>
public enum CacheUpdate
{
    /// <summary>One K and one V row per KV head are written into the freed slot.</summary>
    InPlace,

    /// <summary>Baseline A: new tensors at every step (<see cref="Baselines.FunctionalStrategy"/>).</summary>
    Functional,

    /// <summary>Baseline A with K and V expanded to the query heads.</summary>
    FunctionalRepeatKv,

    /// <summary>Baseline B (<see cref="Baselines.MemmoveStrategy"/>).</summary>
    Memmove,

    /// <summary>Baseline C (<see cref="Baselines.FusedShiftStrategy"/>).</summary>
    FusedShift,

    /// <summary>Baseline D (<see cref="Baselines.RingRotateStrategy"/>).</summary>
    RingRotate,
}
