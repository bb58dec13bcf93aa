namespace Equip.Kernels.Dispatch;

/// <summary>A family of code paths. Every kernel has all three.</summary>
public enum Isa
{
    /// <summary>The best path that this machine runs without throttling.</summary>
    Auto,

    /// <summary>Plain C#, no vector instruction asked for.</summary>
    Scalar,

    /// <summary>AVX2 and FMA, 256-bit registers.</summary>
    Avx2,

    /// <summary>AVX-512 F, BW, DQ and VL, 512-bit registers.</summary>
    Avx512,
}
