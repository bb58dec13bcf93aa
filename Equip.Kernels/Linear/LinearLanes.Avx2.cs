using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Equip.Kernels.Linear;

/// <summary>AVX2 and FMA: a register is 8 floats, a step 16.</summary>
internal readonly unsafe struct Avx2Lanes : ILinearLanes<Vector256<float>>
{
    public static int Width => 8;

    public static int MaxInputs => 3;

    public static Vector256<float> Broadcast(float value) => Vector256.Create(value);

    public static Vector256<float> Load(float* source) => Vector256.Load(source);

    public static void Store(float* destination, Vector256<float> value) => value.Store(destination);

    public static Vector256<float> Add(Vector256<float> left, Vector256<float> right) => left + right;

    public static Vector256<float> Multiply(Vector256<float> left, Vector256<float> right) => left * right;

    public static Vector256<float> MultiplyAdd(Vector256<float> left, Vector256<float> right, Vector256<float> addend)
        => Fma.MultiplyAdd(left, right, addend);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SumLanes(Vector256<float> row0, Vector256<float> row1, Vector256<float> row2, Vector256<float> row3, float* sums)
    {
        Vector256<float> rows01 = Avx.UnpackLow(row0, row1) + Avx.UnpackHigh(row0, row1);
        Vector256<float> rows23 = Avx.UnpackLow(row2, row3) + Avx.UnpackHigh(row2, row3);
        Vector256<float> all = Avx.Shuffle(rows01, rows23, 0x44) + Avx.Shuffle(rows01, rows23, 0xEE);
        (all.GetLower() + all.GetUpper()).Store(sums);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadPairs(byte* bfloats, out Vector256<float> even, out Vector256<float> odd)
    {
        Vector256<uint> pairs = Vector256.Load((uint*)bfloats);
        even = (pairs << 16).AsSingle();
        odd = (pairs & Vector256.Create(0xFFFF0000u)).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadHalfPairs(byte* halves, out Vector256<float> even, out Vector256<float> odd)
    {
        Vector256<int> pairs = Vector256.Load((int*)halves);
        even = Move(pairs << 16);
        odd = Move(pairs);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadFiniteHalfPairs(byte* halves, out Vector256<float> even, out Vector256<float> odd)
    {
        Vector256<int> pairs = Vector256.Load((int*)halves);
        even = MoveFinite(pairs << 16);
        odd = MoveFinite(pairs);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> WatchHalves(byte* halves, Vector256<float> seen)
        => Avx2.Max(seen.AsUInt16(), Vector256.Load((ushort*)halves) & Vector256.Create((ushort)0x7FFF)).AsSingle();

    public static bool MetSpecialHalf(Vector256<float> seen) => Vector256.GreaterThanOrEqualAny(seen.AsUInt16(), Vector256.Create((ushort)0x7C00));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Split(float* source, out Vector256<float> even, out Vector256<float> odd)
    {
        Vector256<float> low = Vector256.Load(source), high = Vector256.Load(source + 8);
        even = Avx2.Permute4x64(Avx.Shuffle(low, high, 0x88).AsDouble(), 0xD8).AsSingle();
        odd = Avx2.Permute4x64(Avx.Shuffle(low, high, 0xDD).AsDouble(), 0xD8).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Merge(Vector256<float> even, Vector256<float> odd, float* destination)
    {
        Vector256<float> low = Avx.UnpackLow(even, odd), high = Avx.UnpackHigh(even, odd);
        Avx.Permute2x128(low, high, 0x20).Store(destination);
        Avx.Permute2x128(low, high, 0x31).Store(destination + 8);
    }

    /// <summary>Eight binary16 in the order in which they lie.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> WidenHalves(ushort* halves)
        => Move(Avx2.ConvertToVector256Int32(Vector128.Load(halves)) << 16) * Vector256.Create(F16Weights.Bias);

    // The binary16 in the upper half of each lane.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> MoveFinite(Vector256<int> upper) => ((upper >> 3) & Vector256.Create(unchecked((int)0x8FFFE000))).AsSingle();

    // Infinity and NaN lie from 2^16 on, that is here 2^-96; as binary32 they have all exponent bits.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Move(Vector256<int> upper)
    {
        Vector256<float> value = MoveFinite(upper);
        Vector256<float> special = Vector256.GreaterThanOrEqual(Vector256.Abs(value), Vector256.Create(F16Weights.SmallestSpecial));
        return value | (special & Vector256.Create(float.PositiveInfinity));
    }
}
