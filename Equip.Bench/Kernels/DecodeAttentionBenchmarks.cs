using BenchmarkDotNet.Attributes;
using Equip.Bench.Kernels.Cases;
using Equip.Kernels.Attention;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels;

/// <summary>Attention of one token over 32 query and 8 KV heads of 128.</summary>
public class DecodeAttentionBenchmarks : KernelBenchmark
{
    /// <summary>How K and V are stored.</summary>
    [Params(DataType.F32, DataType.F16, DataType.BF16)]
    public DataType Type { get; set; }

    /// <summary>Rows of each KV head: in cache, and from memory.</summary>
    [Params(2048, 16384)]
    public int Tokens { get; set; }

    private protected override KernelCase Create() => new DecodeAttentionCase(new AttentionShape(32, 8, 128, Type), Tokens);
}
