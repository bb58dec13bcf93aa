using System.Runtime.CompilerServices;

namespace Equip.Kernels.Linear;

/// <summary>How one <see cref="Numerics.DataType"/> of weights is read, on every path.</summary>
internal unsafe interface IStoredWeights
{
    /// <summary>Bytes of one element.</summary>
    static abstract int Size { get; }

    /// <summary>Whether <see cref="Load"/> parts even and odd elements.</summary>
    static abstract bool Splits { get; }

    /// <summary>
    /// Weights come as value * Lift^-2: inputs and results are each multiplied with this, so that the products neither
    /// overflow nor lose digits.
    /// </summary>
    static abstract float Lift { get; }

    /// <summary>Two registers of elements from <paramref name="column"/> on.</summary>
    static abstract void Load<TLanes, TVector>(byte* row, nint column, out TVector first, out TVector second)
        where TLanes : struct, ILinearLanes<TVector>
        where TVector : unmanaged;

    /// <summary>
    /// The same, cheaper where rare values would cost; <paramref name="seen"/> remembers whether one was met and the result
    /// is wrong.
    /// </summary>
    static abstract void LoadUsual<TLanes, TVector>(byte* row, nint column, out TVector first, out TVector second, ref TVector seen)
        where TLanes : struct, ILinearLanes<TVector>
        where TVector : unmanaged;

    /// <summary>Whether <see cref="LoadUsual"/> met a value it got wrong.</summary>
    static abstract bool MetUnusual<TLanes, TVector>(TVector seen)
        where TLanes : struct, ILinearLanes<TVector>
        where TVector : unmanaged;

    /// <summary>One element.</summary>
    static abstract float At(byte* row, nint column);
}

/// <summary>binary32.</summary>
internal readonly unsafe struct F32Weights : IStoredWeights
{
    public static int Size => 4;

    public static bool Splits => false;

    public static float Lift => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<TLanes, TVector>(byte* row, nint column, out TVector first, out TVector second)
        where TLanes : struct, ILinearLanes<TVector>
        where TVector : unmanaged
    {
        first = TLanes.Load((float*)row + column);
        second = TLanes.Load((float*)row + column + TLanes.Width);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadUsual<TLanes, TVector>(byte* row, nint column, out TVector first, out TVector second, ref TVector seen)
        where TLanes : struct, ILinearLanes<TVector>
        where TVector : unmanaged => Load<TLanes, TVector>(row, column, out first, out second);

    public static bool MetUnusual<TLanes, TVector>(TVector seen)
        where TLanes : struct, ILinearLanes<TVector>
        where TVector : unmanaged => false;

    public static float At(byte* row, nint column) => ((float*)row)[column];
}

/// <summary>binary16.</summary>
internal readonly unsafe struct F16Weights : IStoredWeights
{
    /// <summary>2^112: the exponent of a binary32 is counted from 112 lower.</summary>
    public const float Bias = 5.192296858534828e33f;

    /// <summary>2^-112 of 2^16, from which on a binary16 is infinity or NaN.</summary>
    public const float SmallestSpecial = 1.2621774e-29f;

    public static int Size => 2;

    public static bool Splits => true;

    public static float Lift => 7.2057594e16f;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<TLanes, TVector>(byte* row, nint column, out TVector first, out TVector second)
        where TLanes : struct, ILinearLanes<TVector>
        where TVector : unmanaged => TLanes.LoadHalfPairs(row + (column * 2), out first, out second);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadUsual<TLanes, TVector>(byte* row, nint column, out TVector first, out TVector second, ref TVector seen)
        where TLanes : struct, ILinearLanes<TVector>
        where TVector : unmanaged
    {
        TLanes.LoadFiniteHalfPairs(row + (column * 2), out first, out second);
        seen = TLanes.WatchHalves(row + (column * 2), seen);
    }

    public static bool MetUnusual<TLanes, TVector>(TVector seen)
        where TLanes : struct, ILinearLanes<TVector>
        where TVector : unmanaged => TLanes.MetSpecialHalf(seen);

    public static float At(byte* row, nint column) => Widen(((ushort*)row)[column]);

    /// <summary>The value of a binary16; many times as fast as a cast from <see cref="Half"/>.</summary>
    public static float Widen(ushort half) => Move(half) * Bias;

    /// <summary>2^-112 of the value: its bits where a binary32 has them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Move(ushort half)
    {
        uint value = (uint)(half & 0x7FFF) << 13;
        if (value >= 0x0F800000) value |= 0x7F800000;
        return BitConverter.UInt32BitsToSingle(value | ((uint)(half & 0x8000) << 16));
    }
}

/// <summary>bfloat16.</summary>
internal readonly unsafe struct BF16Weights : IStoredWeights
{
    public static int Size => 2;

    public static bool Splits => true;

    public static float Lift => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<TLanes, TVector>(byte* row, nint column, out TVector first, out TVector second)
        where TLanes : struct, ILinearLanes<TVector>
        where TVector : unmanaged => TLanes.LoadPairs(row + (column * 2), out first, out second);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadUsual<TLanes, TVector>(byte* row, nint column, out TVector first, out TVector second, ref TVector seen)
        where TLanes : struct, ILinearLanes<TVector>
        where TVector : unmanaged => Load<TLanes, TVector>(row, column, out first, out second);

    public static bool MetUnusual<TLanes, TVector>(TVector seen)
        where TLanes : struct, ILinearLanes<TVector>
        where TVector : unmanaged => false;

    public static float At(byte* row, nint column) => Widen(((ushort*)row)[column]);

    public static float Widen(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);
}
