using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Equip.Kernels.Dispatch;

/// <summary>Lists the code paths, says which of them this machine runs, and resolves a choice to one.</summary>
public static class IsaRegistry
{
    /// <summary>The environment variable that replaces the automatic choice: scalar, avx2 or avx512.</summary>
    public const string EnvironmentVariable = "EQUIP_ISA";

    /// <summary>Every path there is, slowest first.</summary>
    public static IReadOnlyList<Isa> All { get; } = [Isa.Scalar, Isa.Avx2, Isa.Avx512];

    /// <summary>The paths that this processor and runtime can execute, slowest first.</summary>
    public static IReadOnlyList<Isa> Supported { get; } = [.. All.Where(IsSupported)];

    /// <summary>Whether this processor and runtime can execute <paramref name="isa"/>.</summary>
    public static bool IsSupported(Isa isa) => isa switch
    {
        Isa.Auto or Isa.Scalar => true,
        Isa.Avx2 => Avx2.IsSupported && Fma.IsSupported,
        Isa.Avx512 => Avx512F.IsSupported && Avx512BW.IsSupported && Avx512DQ.IsSupported && Avx512F.VL.IsSupported && IsSupported(Isa.Avx2),
        _ => false,
    };

    /// <summary>
    /// The path to run for <paramref name="requested"/>. <see cref="Isa.Auto"/> takes <see cref="EnvironmentVariable"/>
    /// if set, else the widest path the runtime calls accelerated (it does not where 512-bit code is known to throttle).
    /// </summary>
    /// <exception cref="PlatformNotSupportedException">The requested path does not run on this machine.</exception>
    /// <exception cref="ArgumentException">The environment variable names no path.</exception>
    public static Isa Resolve(Isa requested)
    {
        if (requested == Isa.Auto && Environment.GetEnvironmentVariable(EnvironmentVariable) is { Length: > 0 } name)
            requested = Parse(name);
        if (requested == Isa.Auto)
            return IsSupported(Isa.Avx512) && Vector512.IsHardwareAccelerated ? Isa.Avx512 : IsSupported(Isa.Avx2) ? Isa.Avx2 : Isa.Scalar;
        if (!IsSupported(requested))
            throw new PlatformNotSupportedException($"isa: {Name(requested)} does not run on this machine; supported: {string.Join(", ", Supported.Select(Name))}");
        return requested;
    }

    /// <summary>The path named auto, scalar, avx2 or avx512 (any case).</summary>
    /// <exception cref="ArgumentException"><paramref name="name"/> is none of these.</exception>
    public static Isa Parse(string name) => name.ToLowerInvariant() switch
    {
        "auto" => Isa.Auto,
        "scalar" => Isa.Scalar,
        "avx2" => Isa.Avx2,
        "avx512" => Isa.Avx512,
        _ => throw new ArgumentException($"isa: got '{name}', expected auto, avx512, avx2 or scalar", nameof(name)),
    };

    /// <summary>The lower-case name of a path.</summary>
    public static string Name(Isa isa) => isa switch
    {
        Isa.Auto => "auto",
        Isa.Scalar => "scalar",
        Isa.Avx2 => "avx2",
        _ => "avx512",
    };
}
