using BenchmarkDotNet.Attributes;
using Equip.Bench.Kernels.Cases;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels;

/// <summary>A new token in the place of an evicted one, 32 KV heads of 128.</summary>
public class SlotWriteBenchmarks : KernelBenchmark
{
    /// <summary>How K and V are stored.</summary>
    [Params(DataType.F32, DataType.F16, DataType.BF16)]
    public DataType Type { get; set; }

    /// <summary>Rows of each KV head.</summary>
    [Params(2048)]
    public int Window { get; set; }

    private protected override KernelCase Create() => new InsertCase(CacheUpdate.InPlace, Type, 32, 128, Window);
}
