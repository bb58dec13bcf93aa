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

    /// <summary>32 elements; <paramref name="seen"/> gathers what <see cref="AllRight(Vector512{ushort})"/> needs, from all bits set.</summary>
    static abstract void Load(byte* source, ref Vector512<ushort> seen, out Vector512<float> even, out Vector512<float> odd);

    /// <summary>16 elements in natural order: what remains of a row that is no multiple of 32.</summary>
    static abstract Vector512<float> LoadTail(byte* source, ref Vector512<ushort> seen);

    /// <summary>16 elements; <paramref name="seen"/> as with wider vectors.</summary>
    static abstract void Load(byte* source, ref Vector256<ushort> seen, out Vector256<float> even, out Vector256<float> odd);

    /// <summary>What <see cref="AllRight(Vector256{ushort})"/> needs of 16 elements that have not been loaded yet; the smaller of two stands for both.</summary>
    static abstract Vector256<ushort> Watch(byte* source);

    /// <summary>Whether all that has been loaded came out right: some readings are quick but not for all values.</summary>
    static abstract bool AllRight(Vector256<ushort> seen);

    /// <summary>As with narrower vectors.</summary>
    static abstract bool AllRight(Vector512<ushort> seen);
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
    public static void Load(byte* source, ref Vector512<ushort> seen, out Vector512<float> even, out Vector512<float> odd)
    {
        even = Vector512.Load((float*)source);
        odd = Vector512.Load((float*)source + 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadTail(byte* source, ref Vector512<ushort> seen) => Vector512.Load((float*)source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load(byte* source, ref Vector256<ushort> seen, out Vector256<float> even, out Vector256<float> odd)
    {
        even = Vector256.Load((float*)source);
        odd = Vector256.Load((float*)source + 8);
    }

    public static Vector256<ushort> Watch(byte* source) => Vector256<ushort>.AllBitsSet;

    public static bool AllRight(Vector256<ushort> seen) => true;

    public static bool AllRight(Vector512<ushort> seen) => true;
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
    public static void Load(byte* source, ref Vector512<ushort> seen, out Vector512<float> even, out Vector512<float> odd)
    {
        Vector512<uint> pairs = Vector512.Load((uint*)source);
        even = (pairs << 16).AsSingle();
        odd = (pairs & Vector512.Create(Upper)).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadTail(byte* source, ref Vector512<ushort> seen) => (Avx512F.ConvertToVector512UInt32(Vector256.Load((ushort*)source)) << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load(byte* source, ref Vector256<ushort> seen, out Vector256<float> even, out Vector256<float> odd)
    {
        Vector256<uint> pairs = Vector256.Load((uint*)source);
        even = (pairs << 16).AsSingle();
        odd = (pairs & Vector256.Create(Upper)).AsSingle();
    }

    public static Vector256<ushort> Watch(byte* source) => Vector256<ushort>.AllBitsSet;

    public static bool AllRight(Vector256<ushort> seen) => true;

    public static bool AllRight(Vector512<ushort> seen) => true;
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
    internal const uint Kept = 0x8FFFE000;
    internal const uint Bias = 0x70000000;
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
    public static void Load(byte* source, ref Vector512<ushort> seen, out Vector512<float> even, out Vector512<float> odd)
    {
        Vector512<uint> pairs = Vector512.Load((uint*)source);
        even = Widen(pairs << 13, pairs << 16);
        odd = Widen(pairs >>> 3, pairs);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadTail(byte* source, ref Vector512<ushort> seen)
    {
        Vector512<uint> single = Avx512F.ConvertToVector512UInt32(Vector256.Load((ushort*)source));
        return Widen(single << 13, single << 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load(byte* source, ref Vector256<ushort> seen, out Vector256<float> even, out Vector256<float> odd)
    {
        Vector256<uint> pairs = Vector256.Load((uint*)source);
        even = Widen(pairs << 16);
        odd = Widen(pairs);
    }

    public static Vector256<ushort> Watch(byte* source) => Vector256<ushort>.AllBitsSet;

    public static bool AllRight(Vector256<ushort> seen) => true;

    public static bool AllRight(Vector512<ushort> seen) => true;

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

/// <summary>
/// binary16 rows that have no exponent 0 (zero, subnormals), scaled as by <see cref="F16Row"/>: half its work. Setting the
/// upper three exponent bits clears the sign's copies in them.
/// </summary>
internal readonly unsafe struct PlainF16Row : ICacheRow
{
    // Twice a binary16 value, as an integer, is under this exactly if its exponent is 0.
    private const ushort TwiceNormal = 1 << 11;

    public static int Size => F16Row.Size;

    public static bool Parts => F16Row.Parts;

    public static float OperandScale => F16Row.OperandScale;

    public static float ResultScale => F16Row.ResultScale;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Load(byte* row, int index) => F16Row.Load(row, index);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load(byte* source, ref Vector512<ushort> seen, out Vector512<float> even, out Vector512<float> odd)
    {
        Vector512<int> pairs = Vector512.Load((int*)source);
        seen = Vector512.Min(seen, pairs.AsUInt16() + pairs.AsUInt16());
        even = (((pairs << 16) >> 3).AsUInt32() | Vector512.Create(F16Row.Bias)).AsSingle();
        odd = Avx512F.TernaryLogic((pairs >> 3).AsUInt32(), Vector512.Create(F16Row.Kept), Vector512.Create(F16Row.Bias), 0xEA).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadTail(byte* source, ref Vector512<ushort> seen)
    {
        Vector256<ushort> bits = Vector256.Load((ushort*)source);
        seen = Vector512.Min(seen, Vector512.Create(bits + bits));
        return ((Avx512F.ConvertToVector512Int32(bits.AsInt16()) << 13).AsUInt32() | Vector512.Create(F16Row.Bias)).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load(byte* source, ref Vector256<ushort> seen, out Vector256<float> even, out Vector256<float> odd)
    {
        Vector256<int> pairs = Vector256.Load((int*)source);
        seen = Vector256.Min(seen, Watch(source));
        even = (((pairs << 16) >> 3).AsUInt32() | Vector256.Create(F16Row.Bias)).AsSingle();
        odd = (((pairs >> 3).AsUInt32() & Vector256.Create(F16Row.Kept)) | Vector256.Create(F16Row.Bias)).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<ushort> Watch(byte* source) => Vector256.Load((ushort*)source) + Vector256.Load((ushort*)source);

    public static bool AllRight(Vector256<ushort> seen) => !Vector256.LessThanAny(seen, Vector256.Create(TwiceNormal));

    public static bool AllRight(Vector512<ushort> seen) => !Vector512.LessThanAny(seen, Vector512.Create(TwiceNormal));
}
