using BenchmarkDotNet.Attributes;
using Equip.Bench.Kernels.Cases;
using Equip.Kernels.Attention;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels;

/// <summary>Causal attention of a prompt, 32 query and 8 KV heads of 128.</summary>
public class PrefillAttentionBenchmarks : KernelBenchmark
{
    /// <summary>How K and V are stored.</summary>
    [Params(DataType.F32, DataType.F16, DataType.BF16)]
    public DataType Type { get; set; }

    /// <summary>Tokens of the prompt.</summary>
    [Params(128, 512)]
    public int Tokens { get; set; }

    private protected override KernelCase Create() => new PrefillAttentionCase(new AttentionShape(32, 8, 128, Type), Tokens);
}
