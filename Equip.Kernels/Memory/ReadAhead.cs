using System.Runtime.Intrinsics.X86;

namespace Equip.Kernels.Memory;

/// <summary>How far ahead of the arithmetic kernels ask for the memory that they stream, at each of the places they read in turns.</summary>
internal static class ReadAhead
{
    // "Auth" of AuthenticAMD.
    private const int Amd = 0x68747541;

    /// <summary>
    /// Bytes. AMD: little, so that the processor's own prefetcher, which can have more lines on their way than a core can ask for, stays in
    /// front and what is asked for comes from the second-level cache (Zen 3: 1.1 to 1.2 times the rate of 2 KiB). Intel: 2 to 4 KiB read best on
    /// Sapphire Rapids.
    /// </summary>
    public static readonly int Bytes = X86Base.IsSupported && X86Base.CpuId(0, 0).Ebx == Amd ? 512 : 2048;
}
