using BenchmarkDotNet.Attributes;
using Equip.Bench.Kernels.Cases;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels;

/// <summary>Compaction of a head; one path for all processors, whose rows therefore agree.</summary>
public class CompactBenchmarks : KernelBenchmark
{
    /// <summary>How K and V are stored.</summary>
    [Params(DataType.F32, DataType.F16, DataType.BF16)]
    public DataType Type { get; set; }

    /// <summary>Rows.</summary>
    [Params(2048)]
    public int Window { get; set; }

    private protected override KernelCase Create() => new CompactCase(Type, 128, Window);
}
