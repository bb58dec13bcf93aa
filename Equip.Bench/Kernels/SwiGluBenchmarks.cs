using BenchmarkDotNet.Attributes;
using Equip.Bench.Kernels.Cases;

namespace Equip.Bench.Kernels;

/// <summary>The gated activation of a feed-forward layer.</summary>
public class SwiGluBenchmarks : KernelBenchmark
{
    /// <summary>Elements.</summary>
    [Params(14336, 4194304)]
    public int Length { get; set; }

    private protected override KernelCase Create() => new SwiGluCase(Length);
}
