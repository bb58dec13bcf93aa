using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static Equip.Kernels.Numerics.HalfBits;

namespace Equip.Kernels.Numerics;

/// <summary>The AVX2 and FMA path: eight elements.</summary>
internal readonly unsafe struct Avx2Lanes : ILanes<Vector256<float>, Vector256<uint>>
{
    // Selects 64-bit quarters 0, 2, 1, 3: undoes the 128-bit halves of shuffles and packs.
    private const byte JoinHalves = 0xD8;

    public static int Count => 8;

    public static Vector256<float> Create(float value) => Vector256.Create(value);

    public static Vector256<float> Load(float* source) => Vector256.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadPartial(float* source, int count, float fill)
    {
        Vector256<float> mask = Mask(count);
        return Avx.BlendVariable(Vector256.Create(fill), Avx.MaskLoad(source, mask), mask);
    }

    public static void Store(Vector256<float> value, float* destination) => value.Store(destination);

    public static void StorePartial(Vector256<float> value, float* destination, int count) => Avx.MaskStore(destination, Mask(count), value);

    public static Vector256<float> Add(Vector256<float> a, Vector256<float> b) => a + b;

    public static Vector256<float> Subtract(Vector256<float> a, Vector256<float> b) => a - b;

    public static Vector256<float> Multiply(Vector256<float> a, Vector256<float> b) => a * b;

    public static Vector256<float> Divide(Vector256<float> a, Vector256<float> b) => a / b;

    public static Vector256<float> MultiplyAdd(Vector256<float> a, Vector256<float> b, Vector256<float> c) => Fma.MultiplyAdd(a, b, c);

    public static Vector256<float> MultiplySubtractFrom(Vector256<float> a, Vector256<float> b, Vector256<float> c) => Fma.MultiplyAddNegated(a, b, c);

    public static Vector256<float> Max(Vector256<float> a, Vector256<float> b) => Avx.Max(a, b);

    // maxps returns its second operand for NaN: b is let through, a has to be kept.
    public static Vector256<float> MaxOrNaN(Vector256<float> a, Vector256<float> b)
        => Vector256.ConditionalSelect(Vector256.Equals(a, a), Avx.Max(a, b), a);

    public static Vector256<float> Exp(Vector256<float> x) => VectorExp.Exp(x);

    public static Vector256<float> ExpToOne(Vector256<float> x) => VectorExp.ExpToOne(x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vector256<float> value)
    {
        Vector128<float> v = value.GetLower() + value.GetUpper();
        v += Sse.MoveHighToLow(v, v);
        return v[0] + v[1];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MaxElement(Vector256<float> value)
    {
        Vector128<float> v = Sse.Max(value.GetLower(), value.GetUpper());
        v = Sse.Max(v, Sse.MoveHighToLow(v, v));
        return v[0] > v[1] ? v[0] : v[1];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadPairs(float* source, out Vector256<float> even, out Vector256<float> odd)
    {
        Vector256<float> first = Vector256.Load(source), second = Vector256.Load(source + 8);
        even = Avx2.Permute4x64(Avx.Shuffle(first, second, 0x88).AsDouble(), JoinHalves).AsSingle();
        odd = Avx2.Permute4x64(Avx.Shuffle(first, second, 0xDD).AsDouble(), JoinHalves).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePairs(Vector256<float> even, Vector256<float> odd, float* destination)
    {
        Vector256<float> low = Avx.UnpackLow(even, odd), high = Avx.UnpackHigh(even, odd);
        Avx.Permute2x128(low, high, 0x20).Store(destination);
        Avx.Permute2x128(low, high, 0x31).Store(destination + 8);
    }

    public static Vector256<uint> LoadHalfwords(ushort* source) => (Avx2.ConvertToVector256Int32(source) << 16).AsUInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreHalfwords(Vector256<uint> value, ushort* destination)
    {
        Vector256<ushort> packed = Avx2.PackUnsignedSaturate(value.AsInt32(), value.AsInt32());
        Avx2.Permute4x64(packed.AsUInt64(), JoinHalves).GetLower().AsUInt16().Store(destination);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadHalfwordPairs(ushort* source, out Vector256<uint> even, out Vector256<uint> odd)
    {
        odd = Vector256.Load((uint*)source);
        even = odd << 16;
    }

    public static void StoreHalfwordPairs(Vector256<uint> even, Vector256<uint> odd, ushort* destination)
        => (even | (odd << 16)).Store((uint*)destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> WidenF16(Vector256<uint> bits)
    {
        Vector256<uint> value = (bits.AsInt32() >> WideShift).AsUInt32() & Vector256.Create(WideMask), special = Vector256.Create(WideSpecial);
        Vector256<uint> fix = Vector256.Equals(value & special, special) & Vector256.Create(WideSpecialFix);
        return (value | fix).AsSingle() * Vector256.Create(WideScale);
    }

    public static Vector256<float> WidenBF16(Vector256<uint> bits) => (bits & Vector256.Create(UpperHalf)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> NarrowF16(Vector256<float> value)
    {
        Vector256<uint> bits = value.AsUInt32();
        Vector256<uint> magnitude = bits & Vector256.Create(Magnitude32);
        Vector256<uint> bounded = Avx2.Min(magnitude, Vector256.Create(NarrowLimit));
        Vector256<uint> normal = (bounded + Vector256.Create(NarrowBias) + ((bounded >>> MantissaShift) & Vector256.Create(1u))) >>> MantissaShift;
        Vector256<uint> subnormal = (bounded.AsSingle() + Vector256.Create(SubnormalMagic).AsSingle()).AsUInt32() - Vector256.Create(SubnormalMagic);
        Vector256<int> isSubnormal = Avx2.CompareGreaterThan(Vector256.Create((int)SmallestNormal), bounded.AsInt32());
        Vector256<int> isNaN = Avx2.CompareGreaterThan(magnitude.AsInt32(), Vector256.Create((int)Infinity32));
        Vector256<uint> result = Avx2.BlendVariable(normal, subnormal, isSubnormal.AsUInt32());
        result = Avx2.BlendVariable(result, Vector256.Create(QuietNaN16), isNaN.AsUInt32());
        return result | ((bits >>> 16) & Vector256.Create(Sign16));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> NarrowBF16(Vector256<float> value)
    {
        Vector256<uint> bits = value.AsUInt32(), upper = bits >>> 16;
        Vector256<uint> rounded = (bits + Vector256.Create(BrainBias) + (upper & Vector256.Create(1u))) >>> 16;
        return Avx2.BlendVariable(upper | Vector256.Create(BrainQuiet), rounded, Vector256.Equals(value, value).AsUInt32());
    }

    /// <summary>All ones in the first <paramref name="count"/> elements.</summary>
    internal static Vector256<float> Mask(int count)
        => Avx2.CompareGreaterThan(Vector256.Create(count), Vector256.Create(0, 1, 2, 3, 4, 5, 6, 7)).AsSingle();
}
