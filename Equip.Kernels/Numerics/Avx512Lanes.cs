using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static Equip.Kernels.Numerics.HalfBits;

namespace Equip.Kernels.Numerics;

/// <summary>The AVX-512 path: sixteen elements.</summary>
internal readonly unsafe struct Avx512Lanes : ILanes<Vector512<float>, Vector512<uint>>
{
    public static int Count => 16;

    public static Vector512<float> Create(float value) => Vector512.Create(value);

    public static Vector512<float> Load(float* source) => Vector512.Load(source);

    // .NET 9 has no masked 512-bit load that suppresses faults; two masked 256-bit ones do.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadPartial(float* source, int count, float fill)
        => Vector512.Create(Avx2Lanes.LoadPartial(source, count, fill), Avx2Lanes.LoadPartial(source + 8, count - 8, fill));

    public static void Store(Vector512<float> value, float* destination) => value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePartial(Vector512<float> value, float* destination, int count)
    {
        Avx2Lanes.StorePartial(value.GetLower(), destination, count);
        Avx2Lanes.StorePartial(value.GetUpper(), destination + 8, count - 8);
    }

    public static Vector512<float> Add(Vector512<float> a, Vector512<float> b) => a + b;

    public static Vector512<float> Subtract(Vector512<float> a, Vector512<float> b) => a - b;

    public static Vector512<float> Multiply(Vector512<float> a, Vector512<float> b) => a * b;

    public static Vector512<float> Divide(Vector512<float> a, Vector512<float> b) => a / b;

    public static Vector512<float> MultiplyAdd(Vector512<float> a, Vector512<float> b, Vector512<float> c) => Avx512F.FusedMultiplyAdd(a, b, c);

    public static Vector512<float> MultiplySubtractFrom(Vector512<float> a, Vector512<float> b, Vector512<float> c) => Avx512F.FusedMultiplyAddNegated(a, b, c);

    public static Vector512<float> Max(Vector512<float> a, Vector512<float> b) => Avx512F.Max(a, b);

    // vmaxps returns its second operand for NaN: b is let through, a has to be kept.
    public static Vector512<float> MaxOrNaN(Vector512<float> a, Vector512<float> b)
        => Vector512.ConditionalSelect(Vector512.Equals(a, a), Avx512F.Max(a, b), a);

    public static Vector512<float> Exp(Vector512<float> x) => VectorExp.Exp(x);

    public static Vector512<float> ExpToOne(Vector512<float> x) => VectorExp.Exp(x);

    public static float Sum(Vector512<float> value) => Avx2Lanes.Sum(value.GetLower() + value.GetUpper());

    public static float MaxElement(Vector512<float> value) => Avx2Lanes.MaxElement(Avx.Max(value.GetLower(), value.GetUpper()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadPairs(float* source, out Vector512<float> even, out Vector512<float> odd)
    {
        Vector512<float> first = Vector512.Load(source), second = Vector512.Load(source + 16);
        even = Avx512F.PermuteVar16x32x2(first, Vector512.Create(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), second);
        odd = Avx512F.PermuteVar16x32x2(first, Vector512.Create(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), second);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePairs(Vector512<float> even, Vector512<float> odd, float* destination)
    {
        Avx512F.PermuteVar16x32x2(even, Vector512.Create(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), odd).Store(destination);
        Avx512F.PermuteVar16x32x2(even, Vector512.Create(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), odd).Store(destination + 16);
    }

    public static Vector512<uint> LoadHalfwords(ushort* source) => Avx512F.ConvertToVector512UInt32(Vector256.Load(source)) << 16;

    public static void StoreHalfwords(Vector512<uint> value, ushort* destination) => Avx512F.ConvertToVector256UInt16(value).Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadHalfwordPairs(ushort* source, out Vector512<uint> even, out Vector512<uint> odd)
    {
        odd = Vector512.Load((uint*)source);
        even = odd << 16;
    }

    public static void StoreHalfwordPairs(Vector512<uint> even, Vector512<uint> odd, ushort* destination)
        => (even | (odd << 16)).Store((uint*)destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> WidenF16(Vector512<uint> bits)
    {
        Vector512<uint> value = (bits.AsInt32() >> WideShift).AsUInt32() & Vector512.Create(WideMask), special = Vector512.Create(WideSpecial);
        value = Vector512.ConditionalSelect(Vector512.Equals(value & special, special), value | Vector512.Create(WideSpecialFix), value);
        return value.AsSingle() * Vector512.Create(WideScale);
    }

    public static Vector512<float> WidenBF16(Vector512<uint> bits) => (bits & Vector512.Create(UpperHalf)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> NarrowF16(Vector512<float> value)
    {
        Vector512<uint> bits = value.AsUInt32();
        Vector512<uint> magnitude = bits & Vector512.Create(Magnitude32);
        Vector512<uint> bounded = Avx512F.Min(magnitude, Vector512.Create(NarrowLimit));
        Vector512<uint> normal = (bounded + Vector512.Create(NarrowBias) + ((bounded >>> MantissaShift) & Vector512.Create(1u))) >>> MantissaShift;
        Vector512<uint> subnormal = (bounded.AsSingle() + Vector512.Create(SubnormalMagic).AsSingle()).AsUInt32() - Vector512.Create(SubnormalMagic);
        Vector512<uint> result = Vector512.ConditionalSelect(Vector512.LessThan(bounded, Vector512.Create(SmallestNormal)), subnormal, normal);
        result = Vector512.ConditionalSelect(Vector512.GreaterThan(magnitude, Vector512.Create(Infinity32)), Vector512.Create(QuietNaN16), result);
        return result | ((bits >>> 16) & Vector512.Create(Sign16));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> NarrowBF16(Vector512<float> value)
    {
        Vector512<uint> bits = value.AsUInt32(), upper = bits >>> 16;
        Vector512<uint> rounded = (bits + Vector512.Create(BrainBias) + (upper & Vector512.Create(1u))) >>> 16;
        return Vector512.ConditionalSelect(Vector512.Equals(value, value).AsUInt32(), rounded, upper | Vector512.Create(BrainQuiet));
    }
}
