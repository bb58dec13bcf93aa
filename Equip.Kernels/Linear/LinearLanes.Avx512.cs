using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Equip.Kernels.Linear;

/// <summary>AVX-512: a register is 16 floats, a step 32.</summary>
internal readonly unsafe struct Avx512Lanes : ILinearLanes<Vector512<float>>
{
    public static int Width => 16;

    public static int MaxInputs => 4;

    public static Vector512<float> Broadcast(float value) => Vector512.Create(value);

    public static Vector512<float> Load(float* source) => Vector512.Load(source);

    public static void Store(float* destination, Vector512<float> value) => value.Store(destination);

    public static Vector512<float> Add(Vector512<float> left, Vector512<float> right) => left + right;

    public static Vector512<float> Multiply(Vector512<float> left, Vector512<float> right) => left * right;

    public static Vector512<float> MultiplyAdd(Vector512<float> left, Vector512<float> right, Vector512<float> addend)
        => Avx512F.FusedMultiplyAdd(left, right, addend);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SumLanes(Vector512<float> row0, Vector512<float> row1, Vector512<float> row2, Vector512<float> row3, float* sums)
    {
        Vector512<float> rows01 = Avx512F.UnpackLow(row0, row1) + Avx512F.UnpackHigh(row0, row1);
        Vector512<float> rows23 = Avx512F.UnpackLow(row2, row3) + Avx512F.UnpackHigh(row2, row3);
        Vector512<float> all = Avx512F.Shuffle(rows01, rows23, 0x44) + Avx512F.Shuffle(rows01, rows23, 0xEE);
        Vector256<float> half = all.GetLower() + all.GetUpper();
        (half.GetLower() + half.GetUpper()).Store(sums);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadPairs(byte* bfloats, out Vector512<float> even, out Vector512<float> odd)
    {
        Vector512<uint> pairs = Vector512.Load((uint*)bfloats);
        even = (pairs << 16).AsSingle();
        odd = (pairs & Vector512.Create(0xFFFF0000u)).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadHalfPairs(byte* halves, out Vector512<float> even, out Vector512<float> odd)
    {
        Vector512<int> pairs = Vector512.Load((int*)halves);
        even = Move(pairs << 16);
        odd = Move(pairs);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadFiniteHalfPairs(byte* halves, out Vector512<float> even, out Vector512<float> odd)
    {
        Vector512<int> pairs = Vector512.Load((int*)halves);
        even = MoveFinite(pairs << 16);
        odd = MoveFinite(pairs);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> WatchHalves(byte* halves, Vector512<float> seen)
        => Avx512BW.Max(seen.AsUInt16(), Vector512.Load((ushort*)halves) & Vector512.Create((ushort)0x7FFF)).AsSingle();

    public static bool MetSpecialHalf(Vector512<float> seen) => Vector512.GreaterThanOrEqualAny(seen.AsUInt16(), Vector512.Create((ushort)0x7C00));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Split(float* source, out Vector512<float> even, out Vector512<float> odd)
    {
        Vector512<float> low = Vector512.Load(source), high = Vector512.Load(source + 16);
        Vector512<int> lanes = Vector512.Create(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        even = Avx512F.PermuteVar16x32x2(low, lanes, high);
        odd = Avx512F.PermuteVar16x32x2(low, lanes + Vector512<int>.One, high);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Merge(Vector512<float> even, Vector512<float> odd, float* destination)
    {
        Vector512<int> low = Vector512.Create(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        Avx512F.PermuteVar16x32x2(even, low, odd).Store(destination);
        Avx512F.PermuteVar16x32x2(even, low + Vector512.Create(8), odd).Store(destination + 16);
    }

    // The binary16 in the upper half of each lane.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> MoveFinite(Vector512<int> upper) => ((upper >> 3) & Vector512.Create(unchecked((int)0x8FFFE000))).AsSingle();

    // Infinity and NaN lie from 2^16 on, that is here 2^-96; as binary32 they have all exponent bits.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Move(Vector512<int> upper)
    {
        Vector512<float> value = MoveFinite(upper);
        Vector512<float> special = Vector512.GreaterThanOrEqual(Vector512.Abs(value), Vector512.Create(F16Weights.SmallestSpecial));
        return value | (special & Vector512.Create(float.PositiveInfinity));
    }
}
