using Equip.Kernels.Dispatch;

namespace Equip.Tests.Fixtures;

/// <summary>Kernel contexts for tests that run every path.</summary>
internal static class Contexts
{
    private static readonly Dictionary<(Isa, int), KernelContext> _made = [];

    /// <summary>Every path there is; a test calls <see cref="For"/>, which skips what the machine lacks, visibly.</summary>
    public static IEnumerable<Isa> Paths => IsaRegistry.All;

    public static KernelContext For(Isa isa, int threads = 2)
    {
        if (!IsaRegistry.IsSupported(isa)) Assert.Ignore($"{IsaRegistry.Name(isa)} does not run on this machine");
        lock (_made)
        {
            if (!_made.TryGetValue((isa, threads), out KernelContext? context)) _made[(isa, threads)] = context = new KernelContext(isa, threads);
            return context;
        }
    }
}
