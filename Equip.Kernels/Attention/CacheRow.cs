using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Equip.Kernels.Attention;

/// <summary>
/// How the elements of a K or V row widen to float32. Vector loads of 16-bit rows return even and odd elements apart: read as
/// 32-bit lanes they need shifts and masks only, no shuffle. Whoever multiplies them keeps the other operand in that order.
/// Vector loads may return values times a power of two: value x <see cref="OperandScale"/> x <see cref="ResultScale"/> = 1.
/// </summary>
internal unsafe interface ICacheRow
{
    /// <summary>Bytes of one element.</summary>
    static abstract int Size { get; }

    /// <summary>Whether vector loads part even from odd elements.</summary>
    static abstract bool Parts { get; }

    /// <summary>Factor of the operand (query or probability) that meets vector-loaded values.</summary>
    static abstract float OperandScale { get; }

    /// <summary>Factor of the sum of products.</summary>
    static abstract float ResultScale { get; }

    /// <summary>Element <paramref name="index"/>, unscaled.</summary>
    static abstract float Load(byte* row, int index);

    /// <summary>32 elements.</summary>
    static abstract void Load(byte* source, out Vector512<float> even, out Vector512<float> odd);

    /// <summary>16 elements in natural order: what remains of a row that is no multiple of 32.</summary>
    static abstract Vector512<float> LoadTail(byte* source);

    /// <summary>16 elements.</summary>
    static abstract void Load(byte* source, out Vector256<float> even, out Vector256<float> odd);
}

/// <summary>float32 rows; "even" is the first half, "odd" the second.</summary>
internal readonly unsafe struct F32Row : ICacheRow
{
    public static int Size => 4;

    public static bool Parts => false;

    public static float OperandScale => 1;

    public static float ResultScale => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Load(byte* row, int index) => ((float*)row)[index];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load(byte* source, out Vector512<float> even, out Vector512<float> odd)
    {
        even = Vector512.Load((float*)source);
        odd = Vector512.Load((float*)source + 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadTail(byte* source) => Vector512.Load((float*)source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load(byte* source, out Vector256<float> even, out Vector256<float> odd)
    {
        even = Vector256.Load((float*)source);
        odd = Vector256.Load((float*)source + 8);
    }
}

/// <summary>bfloat16 rows: the upper half of a float32.</summary>
internal readonly unsafe struct Bf16Row : ICacheRow
{
    private const uint Upper = 0xFFFF0000;

    public static int Size => 2;

    public static bool Parts => true;

    public static float OperandScale => 1;

    public static float ResultScale => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Load(byte* row, int index) => BitConverter.UInt32BitsToSingle((uint)((ushort*)row)[index] << 16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load(byte* source, out Vector512<float> even, out Vector512<float> odd)
    {
        Vector512<uint> pairs = Vector512.Load((uint*)source);
        even = (pairs << 16).AsSingle();
        odd = (pairs & Vector512.Create(Upper)).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadTail(byte* source) => (Avx512F.ConvertToVector512UInt32(Vector256.Load((ushort*)source)) << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load(byte* source, out Vector256<float> even, out Vector256<float> odd)
    {
        Vector256<uint> pairs = Vector256.Load((uint*)source);
        even = (pairs << 16).AsSingle();
        odd = (pairs & Vector256.Create(Upper)).AsSingle();
    }
}

/// <summary>
/// binary16 rows, vector-loaded times 2^112. Shifted right by three, a binary16 value has its sign and fraction where float32
/// has them and its exponent in the low five bits of float32's; setting the upper three exponent bits makes normal numbers right
/// (times 2^112) and turns exponent 31 into 255, so infinity and NaN stay what they are. Exponent 0 (zero, subnormals) comes
/// out as sign (2^97 + fraction 2^87) where sign fraction 2^88 is meant: twice the value less sign 2^98 repairs it.
/// Nothing subnormal reaches a multiplication, which some processors do slowly.
/// </summary>
internal readonly unsafe struct F16Row : ICacheRow
{
    private const uint Kept = 0x8FFFE000;
    private const uint Bias = 0x70000000;
    private const uint ExponentBits = 0x0F800000;
    private const uint SignBit = 0x80000000;
    private const uint Two98 = (98 + 127) << 23;

    public static int Size => 2;

    public static bool Parts => true;

    // 2^-30 and 2^-82: loaded values reach 2^128, so the operand takes part of the scale to keep sums in range.
    public static float OperandScale => 1f / (1 << 30);

    public static float ResultScale => 1f / (1L << 41) / (1L << 41);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Load(byte* row, int index) => (float)((Half*)row)[index];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load(byte* source, out Vector512<float> even, out Vector512<float> odd)
    {
        Vector512<uint> pairs = Vector512.Load((uint*)source);
        even = Widen(pairs << 13, pairs << 16);
        odd = Widen(pairs >>> 3, pairs);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadTail(byte* source)
    {
        Vector512<uint> single = Avx512F.ConvertToVector512UInt32(Vector256.Load((ushort*)source));
        return Widen(single << 13, single << 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load(byte* source, out Vector256<float> even, out Vector256<float> odd)
    {
        Vector256<uint> pairs = Vector256.Load((uint*)source);
        even = Widen(pairs << 16);
        odd = Widen(pairs);
    }

    // Takes exponent (bits 27..23) and fraction (22..13) of its first argument, the sign (31) of its second. The smaller of the two
    // readings is the right one for every exponent.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Widen(Vector512<uint> shifted, Vector512<uint> sign)
    {
        Vector512<float> normal = Avx512F.TernaryLogic(shifted, Vector512.Create(Kept & ~SignBit), Vector512.Create(Bias), 0xEA).AsSingle();
        Vector512<float> repaired = Avx512F.FusedMultiplySubtract(normal, Vector512.Create(2f), Vector512.Create(Two98).AsSingle());
        Vector512<float> magnitude = Avx512F.Min(repaired, normal);
        return Avx512F.TernaryLogic(sign, Vector512.Create(SignBit), magnitude.AsUInt32(), 0xEA).AsSingle();
    }

    // No mask registers here: work on the magnitude, where the smaller of the two is right for every exponent.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Widen(Vector256<uint> upper)
    {
        Vector256<float> normal = (((upper >>> 3) & Vector256.Create(Kept & ~SignBit)) | Vector256.Create(Bias)).AsSingle();
        Vector256<float> repaired = Fma.MultiplySubtract(normal, Vector256.Create(2f), Vector256.Create(Two98).AsSingle());
        return Avx.Or(Avx.Min(repaired, normal), (upper & Vector256.Create(SignBit)).AsSingle());
    }
}
