using BenchmarkDotNet.Attributes;
using Equip.Bench.Kernels.Cases;

namespace Equip.Bench.Kernels;

/// <summary>Softmax of rows.</summary>
public class SoftmaxBenchmarks : KernelBenchmark
{
    /// <summary>Rows.</summary>
    [Params(1, 512)]
    public int Rows { get; set; }

    /// <summary>Elements of a row.</summary>
    [Params(2048, 32000)]
    public int Columns { get; set; }

    private protected override KernelCase Create() => new SoftmaxCase(Rows, Columns);
}
