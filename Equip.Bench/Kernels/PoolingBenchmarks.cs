using BenchmarkDotNet.Attributes;
using Equip.Bench.Kernels.Cases;

namespace Equip.Bench.Kernels;

/// <summary>Smoothing of scores, on one thread.</summary>
public class PoolingBenchmarks : KernelBenchmark
{
    /// <summary>Maximum, otherwise average.</summary>
    [Params(true, false)]
    public bool Max { get; set; }

    /// <summary>Scores.</summary>
    [Params(16384)]
    public int Length { get; set; }

    /// <summary>Scores that an output looks at.</summary>
    [Params(7, 15)]
    public int Kernel { get; set; }

    private protected override KernelCase Create() => new PoolingCase(Max, Length, Kernel);
}
