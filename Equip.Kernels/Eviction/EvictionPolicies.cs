namespace Equip.Kernels.Eviction;

/// <summary>The policies by name.</summary>
public static class EvictionPolicies
{
    /// <summary>Every name that can be asked for.</summary>
    public static IReadOnlyList<string> Names { get; } = ["full", "streaming"];
}
