using Equip.Kernels.Eviction;

namespace Equip.Kernels.Interop;

/// <summary><c>equip_policy</c>: the policy of one sequence, and what it was made from.</summary>
internal sealed class NativePolicy(string name, PolicyOptions options) : IDisposable
{
    public PolicyOptions Options { get; } = options;

    public IEvictionPolicy Policy { get; } = EvictionPolicies.Create(name, options);

    public void Dispose()
    {
    }
}
