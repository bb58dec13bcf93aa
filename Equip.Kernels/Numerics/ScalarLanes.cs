using System.Runtime.CompilerServices;
using static Equip.Kernels.Numerics.HalfBits;

namespace Equip.Kernels.Numerics;

/// <summary>The scalar path: one element, no vector instruction, no FMA. Also finishes what the vector paths leave over.</summary>
internal readonly unsafe struct ScalarLanes : ILanes<float, uint>
{
    public static int Count => 1;

    public static float Create(float value) => value;

    public static float Load(float* source) => *source;

    public static float LoadPartial(float* source, int count, float fill) => count > 0 ? *source : fill;

    public static void Store(float value, float* destination) => *destination = value;

    public static void StorePartial(float value, float* destination, int count)
    {
        if (count > 0) *destination = value;
    }

    public static float Add(float a, float b) => a + b;

    public static float Subtract(float a, float b) => a - b;

    public static float Multiply(float a, float b) => a * b;

    public static float Divide(float a, float b) => a / b;

    public static float MultiplyAdd(float a, float b, float c) => (a * b) + c;

    public static float MultiplySubtractFrom(float a, float b, float c) => c - (a * b);

    public static float Max(float a, float b) => a > b ? a : b;

    public static float MaxOrNaN(float a, float b) => float.IsNaN(a) || a > b ? a : b;

    public static float Exp(float x) => VectorExp.Exp(x);

    public static float ExpToOne(float x) => VectorExp.Exp(x);

    public static float Sum(float value) => value;

    public static float MaxElement(float value) => value;

    public static void LoadPairs(float* source, out float even, out float odd)
    {
        even = source[0];
        odd = source[1];
    }

    public static void StorePairs(float even, float odd, float* destination)
    {
        destination[0] = even;
        destination[1] = odd;
    }

    public static uint LoadHalfwords(ushort* source) => (uint)*source << 16;

    public static void StoreHalfwords(uint value, ushort* destination) => *destination = (ushort)value;

    public static void LoadHalfwordPairs(ushort* source, out uint even, out uint odd)
    {
        even = (uint)source[0] << 16;
        odd = (uint)source[1] << 16;
    }

    public static void StoreHalfwordPairs(uint even, uint odd, ushort* destination)
    {
        destination[0] = (ushort)even;
        destination[1] = (ushort)odd;
    }

    public static float WidenF16(uint bits)
    {
        uint value = (uint)((int)bits >> WideShift) & WideMask;
        if ((value & WideSpecial) == WideSpecial) value |= WideSpecialFix;
        return BitConverter.UInt32BitsToSingle(value) * WideScale;
    }

    public static float WidenBF16(uint bits) => BitConverter.UInt32BitsToSingle(bits & UpperHalf);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint NarrowF16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        uint magnitude = bits & Magnitude32;
        uint sign = (bits >> 16) & Sign16;
        if (magnitude > Infinity32) return sign | QuietNaN16;
        uint bounded = Math.Min(magnitude, NarrowLimit);
        if (bounded >= SmallestNormal) return sign | ((bounded + NarrowBias + ((bounded >> MantissaShift) & 1)) >> MantissaShift);
        float rounded = BitConverter.UInt32BitsToSingle(bounded) + BitConverter.UInt32BitsToSingle(SubnormalMagic);
        return sign | (BitConverter.SingleToUInt32Bits(rounded) - SubnormalMagic);
    }

    public static uint NarrowBF16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (bits >> 16) | BrainQuiet : (bits + BrainBias + ((bits >> 16) & 1)) >> 16;
    }
}
