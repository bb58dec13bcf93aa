using BenchmarkDotNet.Attributes;
using Equip.Bench.Kernels.Cases;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels;

/// <summary>Weights times a few inputs.</summary>
public class SkinnyGemmBenchmarks : KernelBenchmark
{
    /// <summary>How weights are stored.</summary>
    [Params(DataType.F32, DataType.F16, DataType.BF16, DataType.Q8)]
    public DataType Type { get; set; }

    /// <summary>Inputs.</summary>
    [Params(2, 8, 16)]
    public int Batch { get; set; }

    private protected override KernelCase Create() => new LinearCase(Type, 2048, 4096, Batch);
}
