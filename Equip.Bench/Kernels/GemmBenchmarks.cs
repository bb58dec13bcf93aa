using BenchmarkDotNet.Attributes;
using Equip.Bench.Kernels.Cases;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels;

/// <summary>Weights times the tokens of a prompt.</summary>
public class GemmBenchmarks : KernelBenchmark
{
    /// <summary>How weights are stored.</summary>
    [Params(DataType.F32, DataType.F16, DataType.BF16, DataType.Q8)]
    public DataType Type { get; set; }

    /// <summary>Tokens.</summary>
    [Params(128, 512)]
    public int Batch { get; set; }

    private protected override KernelCase Create() => new LinearCase(Type, 1024, 1024, Batch);
}
