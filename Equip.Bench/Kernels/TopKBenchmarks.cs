using BenchmarkDotNet.Attributes;
using Equip.Bench.Kernels.Cases;

namespace Equip.Bench.Kernels;

/// <summary>Selection of the largest scores; one path for all processors, whose rows therefore agree.</summary>
public class TopKBenchmarks : KernelBenchmark
{
    /// <summary>Scores.</summary>
    [Params(2048, 16384)]
    public int Length { get; set; }

    /// <summary>How many are kept.</summary>
    [Params(512)]
    public int Count { get; set; }

    private protected override KernelCase Create() => new TopKCase(Length, Count);
}
