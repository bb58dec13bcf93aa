using BenchmarkDotNet.Attributes;
using Equip.Bench.Kernels.Cases;

namespace Equip.Bench.Kernels;

/// <summary>Root-mean-square normalisation.</summary>
public class RmsNormBenchmarks : KernelBenchmark
{
    /// <summary>Rows.</summary>
    [Params(1, 512)]
    public int Rows { get; set; }

    /// <summary>Elements of a row.</summary>
    [Params(768, 4096)]
    public int Columns { get; set; }

    private protected override KernelCase Create() => new RmsNormCase(Rows, Columns);
}
