using BenchmarkDotNet.Attributes;
using Equip.Bench.Kernels.Cases;
using Equip.Kernels.Attention;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels;

/// <summary>Probabilities of a prompt's last 32 queries, 32 query and 8 KV heads of 128.</summary>
public class WindowScoresBenchmarks : KernelBenchmark
{
    /// <summary>How K and V are stored.</summary>
    [Params(DataType.F32, DataType.F16, DataType.BF16)]
    public DataType Type { get; set; }

    /// <summary>Tokens of the prompt.</summary>
    [Params(2048)]
    public int Tokens { get; set; }

    private protected override KernelCase Create() => new WindowScoresCase(new AttentionShape(32, 8, 128, Type), Tokens, window: 32);
}
