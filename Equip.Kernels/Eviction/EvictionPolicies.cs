namespace Equip.Kernels.Eviction;

/// <summary>The policies by name. A new policy is one line here.</summary>
public static class EvictionPolicies
{
    private static readonly (PolicyInfo Info, Func<PolicyOptions, IEvictionPolicy> Create)[] _table =
    [
        (FullPolicy.Description, _ => new FullPolicy()),
        (StreamingPolicy.Description, options => new StreamingPolicy(options)),
        (H2OPolicy.Description, options => new H2OPolicy(options)),
        (TovaPolicy.Description, options => new TovaPolicy(options)),
        (SnapKvPolicy.Description, options => new SnapKvPolicy(options)),
        (PyramidKvPolicy.Description, options => new PyramidKvPolicy(options)),
        (AdaKvPolicy.Description, options => new AdaKvPolicy(options)),
        (CriticalKvPolicy.Description, options => new CriticalKvPolicy(options)),
        (CriticalKvPolicy.AdaptiveDescription, options => new CriticalKvPolicy(options, adaptive: true)),
        (LaProxPolicy.Description, options => new LaProxPolicy(options)),
        (KeyDiffPolicy.Description, options => new KeyDiffPolicy(options)),
        (KnormPolicy.Description, options => new KnormPolicy(options)),
        (ExpectedAttentionPolicy.Description, options => new ExpectedAttentionPolicy(options)),
        (PagedEvictionPolicy.Description, options => new PagedEvictionPolicy(options)),
        (RandomPolicy.Description, options => new RandomPolicy(options)),
    ];

    /// <summary>Every policy.</summary>
    public static IReadOnlyList<PolicyInfo> All { get; } = [.. _table.Select(row => row.Info)];

    /// <summary>Every name that can be asked for.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. _table.Select(row => row.Info.Name)];

    /// <summary>Makes the policy of one sequence.</summary>
    /// <exception cref="ArgumentException">There is no policy of that name, or an option does not fit it.</exception>
    public static IEvictionPolicy Create(string name, PolicyOptions options)
    {
        foreach ((PolicyInfo info, Func<PolicyOptions, IEvictionPolicy> create) in _table)
            if (info.Name == name) return create(options);
        throw new ArgumentException($"policy: got '{name}', expected {string.Join(", ", Names)}", nameof(name));
    }
}
