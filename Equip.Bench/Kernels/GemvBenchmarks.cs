using BenchmarkDotNet.Attributes;
using Equip.Bench.Kernels.Cases;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels;

/// <summary>Weights times one input, in cache and from memory.</summary>
public class GemvBenchmarks : KernelBenchmark
{
    /// <summary>How weights are stored.</summary>
    [Params(DataType.F32, DataType.F16, DataType.BF16, DataType.Q8)]
    public DataType Type { get; set; }

    /// <summary>Outputs.</summary>
    [Params(768, 4096)]
    public int Rows { get; set; }

    private protected override KernelCase Create() => new LinearCase(Type, Rows, Rows == 768 ? 768 : 14336);
}
