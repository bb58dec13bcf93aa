using BenchmarkDotNet.Attributes;
using Equip.Bench.Kernels.Cases;

namespace Equip.Bench.Kernels;

/// <summary>Rotation of 8 heads of 128 in place.</summary>
public class RopeBenchmarks : KernelBenchmark
{
    /// <summary>Tokens.</summary>
    [Params(1, 128, 2048)]
    public int Tokens { get; set; }

    private protected override KernelCase Create() => new RopeCase(Tokens, 8, 128);
}
