using BenchmarkDotNet.Attributes;
using Equip.Bench.Kernels.Cases;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels;

/// <summary>Conversion between float32 and 16-bit types, on one thread.</summary>
public class ConversionBenchmarks : KernelBenchmark
{
    /// <summary>The 16-bit type.</summary>
    [Params(DataType.F16, DataType.BF16)]
    public DataType Type { get; set; }

    /// <summary>Whether float32 is the source.</summary>
    [Params(true, false)]
    public bool Narrows { get; set; }

    /// <summary>Elements.</summary>
    [Params(65536)]
    public int Length { get; set; }

    private protected override KernelCase Create() => new ConversionCase(Type, Narrows, Length);
}
