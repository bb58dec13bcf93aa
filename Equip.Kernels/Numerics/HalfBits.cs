namespace Equip.Kernels.Numerics;

/// <summary>
/// Constants of the integer conversions between float32 and 16-bit types (.NET has no F16C). Both directions of binary16
/// re-bias the exponent by 112 and shift the mantissa by 13.
/// </summary>
internal static class HalfBits
{
    public const uint Sign16 = 0x8000;
    public const uint Magnitude32 = 0x7fffffff;
    public const uint Infinity32 = 0x7f800000;
    public const int MantissaShift = 13;

    /// <summary>From the upper half of a word, an arithmetic shift by this puts exponent and mantissa in place and keeps the sign.</summary>
    public const int WideShift = 3;

    /// <summary>Sign, shifted exponent and mantissa.</summary>
    public const uint WideMask = 0x8fffe000;

    /// <summary>The shifted exponent; all ones mean infinity or NaN.</summary>
    public const uint WideSpecial = 0x0f800000;

    /// <summary>What turns that exponent into the one of float32.</summary>
    public const uint WideSpecialFix = 0x70000000;

    /// <summary>The bfloat16 in a word.</summary>
    public const uint UpperHalf = 0xffff0000;

    /// <summary>2^112. Multiplying by it re-biases normals and normalises subnormals, both exactly, and quiets NaN.</summary>
    public const float WideScale = 5.192296858534828e33f;

    /// <summary>2^16: it and everything above narrows to infinity, and so does 65520 and more by the carry of rounding.</summary>
    public const uint NarrowLimit = 0x47800000;

    /// <summary>2^-14, the smallest normal binary16.</summary>
    public const uint SmallestNormal = 0x38800000;

    /// <summary>-112 in the exponent field, and one less than half a unit of the kept mantissa; the kept lowest bit is added to break ties to even.</summary>
    public const uint NarrowBias = unchecked((uint)(-112 << 23)) + 0xfff;

    /// <summary>0.5: adding it to a value under 2^-14 leaves the value rounded to a multiple of 2^-24 in the lowest bits.</summary>
    public const uint SubnormalMagic = 0x3f000000;

    /// <summary>Quiet binary16 NaN.</summary>
    public const uint QuietNaN16 = 0x7e00;

    /// <summary>One less than half a unit of bfloat16's mantissa.</summary>
    public const uint BrainBias = 0x7fff;

    /// <summary>Quiet bit of bfloat16.</summary>
    public const uint BrainQuiet = 0x40;
}
