namespace Equip.Kernels.Linear;

/// <summary>
/// One code path of the linear kernels: what a register is and how stored weights reach it. The kernels are written once over
/// this interface and compiled for each path. Weights are read in steps of two registers; pairs of 16-bit weights come
/// as even elements in the first register and odd ones in the second, which saves a shuffle a load (<see cref="Split"/> puts
/// inputs in that order).
/// </summary>
/// <typeparam name="TVector">The register.</typeparam>
internal unsafe interface ILinearLanes<TVector>
    where TVector : unmanaged
{
    /// <summary>Floats in a register.</summary>
    static abstract int Width { get; }

    /// <summary>Inputs whose sums for four rows fit in the registers.</summary>
    static abstract int MaxInputs { get; }

    static abstract TVector Broadcast(float value);

    static abstract TVector Load(float* source);

    static abstract void Store(float* destination, TVector value);

    static abstract TVector Add(TVector left, TVector right);

    static abstract TVector Multiply(TVector left, TVector right);

    /// <summary>left * right + addend.</summary>
    static abstract TVector MultiplyAdd(TVector left, TVector right, TVector addend);

    /// <summary>sums[i] = the sum of the lanes of the i-th argument.</summary>
    static abstract void SumLanes(TVector row0, TVector row1, TVector row2, TVector row3, float* sums);

    static abstract void LoadPairs(byte* bfloats, out TVector even, out TVector odd);

    /// <summary>
    /// 2^-112 of the values (their bits moved into a binary32, which keeps subnormals); exact for finite ones, infinities and
    /// NaN come as finite numbers.
    /// </summary>
    static abstract void LoadFiniteHalfPairs(byte* halves, out TVector even, out TVector odd);

    /// <summary>2^-112 of the values, exact for every binary16.</summary>
    static abstract void LoadHalfPairs(byte* halves, out TVector even, out TVector odd);

    /// <summary>Remembers in <paramref name="seen"/> whether the same elements hold an infinity or NaN.</summary>
    static abstract TVector WatchHalves(byte* halves, TVector seen);

    /// <summary>Whether <see cref="WatchHalves"/> met an infinity or NaN.</summary>
    static abstract bool MetSpecialHalf(TVector seen);

    /// <summary>Parts two registers of consecutive floats into even and odd elements.</summary>
    static abstract void Split(float* source, out TVector even, out TVector odd);

    /// <summary>The inverse of <see cref="Split"/>.</summary>
    static abstract void Merge(TVector even, TVector odd, float* destination);
}
