using System.Runtime.CompilerServices;

namespace Equip.Kernels.Linear;

/// <summary>Plain C#: a register is one float, a step two.</summary>
internal readonly unsafe struct ScalarLanes : ILinearLanes<float>
{
    public static int Width => 1;

    public static int MaxInputs => 2;

    public static float Broadcast(float value) => value;

    public static float Load(float* source) => *source;

    public static void Store(float* destination, float value) => *destination = value;

    public static float Add(float left, float right) => left + right;

    public static float Multiply(float left, float right) => left * right;

    public static float MultiplyAdd(float left, float right, float addend) => (left * right) + addend;

    public static void SumLanes(float row0, float row1, float row2, float row3, float* sums)
    {
        sums[0] = row0;
        sums[1] = row1;
        sums[2] = row2;
        sums[3] = row3;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadPairs(byte* bfloats, out float even, out float odd)
    {
        even = BF16Weights.Widen(((ushort*)bfloats)[0]);
        odd = BF16Weights.Widen(((ushort*)bfloats)[1]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadHalfPairs(byte* halves, out float even, out float odd)
    {
        even = F16Weights.Move(((ushort*)halves)[0]);
        odd = F16Weights.Move(((ushort*)halves)[1]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadFiniteHalfPairs(byte* halves, out float even, out float odd) => LoadHalfPairs(halves, out even, out odd);

    public static float WatchHalves(byte* halves, float seen) => seen;

    public static bool MetSpecialHalf(float seen) => false;

    public static void Split(float* source, out float even, out float odd)
    {
        even = source[0];
        odd = source[1];
    }

    public static void Merge(float even, float odd, float* destination)
    {
        destination[0] = even;
        destination[1] = odd;
    }
}
