using BenchmarkDotNet.Attributes;
using Equip.Bench.Kernels.Cases;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels;

/// <summary>Three quarters of the rows of a matrix, as channel pruning reads it.</summary>
public class GatheredGemvBenchmarks : KernelBenchmark
{
    /// <summary>How weights are stored.</summary>
    [Params(DataType.F32, DataType.F16, DataType.BF16)]
    public DataType Type { get; set; }

    /// <summary>Rows are channels, weighted and added; otherwise each gives an output.</summary>
    [Params(false, true)]
    public bool Channels { get; set; }

    private protected override KernelCase Create() => new GatheredGemvCase(Channels, Type, 14336, 4096);
}
