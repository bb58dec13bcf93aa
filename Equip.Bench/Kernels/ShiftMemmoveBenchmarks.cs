using BenchmarkDotNet.Attributes;
using Equip.Bench.Kernels.Cases;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels;

/// <summary>A new token after moving the younger rows down by one, 32 KV heads of 128: what writing in place saves.</summary>
public class ShiftMemmoveBenchmarks : KernelBenchmark
{
    /// <summary>How K and V are stored.</summary>
    [Params(DataType.F32, DataType.F16, DataType.BF16)]
    public DataType Type { get; set; }

    /// <summary>Rows of each KV head.</summary>
    [Params(2048)]
    public int Window { get; set; }

    private protected override KernelCase Create() => new InsertCase(CacheUpdate.Memmove, Type, 32, 128, Window);
}
