using Equip.Bench.Output;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using static Equip.Bench.Output.ColumnType;
using static Equip.Bench.Output.ColumnView;

namespace Equip.Bench.Kernels.Roofline;

/// <summary>What the machine can do, in units a second.</summary>
/// <param name="ReadBytes">Bytes read from memory by all threads.</param>
/// <param name="Flops">Floating-point operations of multiply-adds in registers, on the widest path measured.</param>
internal sealed record Ceilings(double ReadBytes, double Flops);

/// <summary>A kernel beside its ceiling.</summary>
/// <param name="Kernel">The kernel's name.</param>
/// <param name="Path">The path's name, "any" for a kernel that has one.</param>
/// <param name="Type">How its operands are stored.</param>
/// <param name="Shape">Its shape.</param>
/// <param name="FromMemory">Whether calls go through more than the caches hold.</param>
/// <param name="Computes">Whether rate and ceiling are floating-point operations; otherwise bytes.</param>
/// <param name="Microseconds">Of one call.</param>
/// <param name="Rate">Units a second.</param>
/// <param name="Ceiling">The ceiling beside it, units a second.</param>
/// <param name="Fraction">The one by the other, as measured in pairs.</param>
internal sealed record RooflineRow(
    string Kernel, string Path, DataType Type, string Shape, bool FromMemory, bool Computes, double Microseconds, double Rate, double Ceiling, double Fraction)
{
    private const double Giga = 1e9;

    /// <summary>How many times as long the kernel takes that this one replaces.</summary>
    public double? TimesFaster { get; init; }

    /// <summary>The columns of a table of rows under these ceilings.</summary>
    public static IReadOnlyList<Column<RooflineRow>> Columns(Ceilings ceilings, KernelContext context) =>
    [
        new("threads", "threads", Integer, Setting, _ => context.Threads),
        new("read_gbps", "read from memory, GB/s", Real, Setting, _ => Format.Real(ceilings.ReadBytes / Giga)) { Display = _ => Format.Number(ceilings.ReadBytes / Giga) },
        new("fma_gflops", "multiply-add, GFLOP/s", Real, Setting, _ => Format.Real(ceilings.Flops / Giga)) { Display = _ => Format.Number(ceilings.Flops / Giga) },
        new("kernel", "kernel", Text, Shown, row => row.Kernel),
        new("isa", "isa", Text, Shown, row => row.Path),
        new("dtype", "dtype", Text, Shown, row => row.Type.Name()),
        new("shape", "shape", Text, Shown, row => row.Shape),
        new("operands", "operands in", Text, Shown, row => row.FromMemory ? "memory" : "cache"),
        new("us", "us", Real, Shown, row => Format.Real(row.Microseconds)) { Display = row => Format.Number(row.Microseconds) },
        new("gbps", "GB/s", Real, Optional, row => row.Computes ? null : Format.Real(row.Rate / Giga)) { Display = row => Format.Number(row.Rate / Giga) },
        new("gflops", "GFLOP/s", Real, Optional, row => row.Computes ? Format.Real(row.Rate / Giga) : null) { Display = row => Format.Number(row.Rate / Giga) },
        new("ceiling", "ceiling", Real, Shown, row => Format.Real(row.Ceiling / Giga)) { Display = row => Format.Number(row.Ceiling / Giga) },
        new("fraction", "fraction", Real, Shown, row => Format.Real(row.Fraction)) { Display = row => Format.Number(row.Fraction), Bars = true },
        new("times_faster_than_shift", "x shift", Real, Optional, row => Format.Real(row.TimesFaster)) { Display = row => Format.Number(row.TimesFaster ?? 0) },
    ];
}
