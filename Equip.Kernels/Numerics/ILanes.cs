namespace Equip.Kernels.Numerics;

/// <summary>
/// The registers of one code path: <see cref="Count"/> float32 in a <typeparamref name="TFloats"/>, as many 32-bit words in a
/// <typeparamref name="TWords"/>. Element-wise kernels are written once over it; the compiler makes one copy a path, with
/// <see cref="Count"/> a constant. Kernels whose register blocking differs between paths are written by hand instead.
/// </summary>
internal unsafe interface ILanes<TFloats, TWords>
    where TFloats : struct
    where TWords : struct
{
    static abstract int Count { get; }

    static abstract TFloats Create(float value);

    static abstract TFloats Load(float* source);

    /// <summary>The first <paramref name="count"/> (below <see cref="Count"/>) elements, then <paramref name="fill"/>; touches no others.</summary>
    static abstract TFloats LoadPartial(float* source, int count, float fill);

    static abstract void Store(TFloats value, float* destination);

    /// <summary>Writes the first <paramref name="count"/> (below <see cref="Count"/>) elements; touches no others.</summary>
    static abstract void StorePartial(TFloats value, float* destination, int count);

    static abstract TFloats Add(TFloats a, TFloats b);

    static abstract TFloats Subtract(TFloats a, TFloats b);

    static abstract TFloats Multiply(TFloats a, TFloats b);

    static abstract TFloats Divide(TFloats a, TFloats b);

    /// <summary>a b + c; one rounding where the path has FMA.</summary>
    static abstract TFloats MultiplyAdd(TFloats a, TFloats b, TFloats c);

    /// <summary>c - a b; one rounding where the path has FMA.</summary>
    static abstract TFloats MultiplySubtractFrom(TFloats a, TFloats b, TFloats c);

    /// <summary>The larger; which one for NaN is not defined.</summary>
    static abstract TFloats Max(TFloats a, TFloats b);

    /// <summary>The larger; NaN if either is NaN.</summary>
    static abstract TFloats MaxOrNaN(TFloats a, TFloats b);

    static abstract TFloats Exp(TFloats x);

    /// <summary>As <see cref="Exp"/>, for x at most 0 or NaN only; see <see cref="VectorExp.ExpToOne"/>.</summary>
    static abstract TFloats ExpToOne(TFloats x);

    static abstract float Sum(TFloats value);

    /// <summary>The largest element; undefined if one is NaN.</summary>
    static abstract float MaxElement(TFloats value);

    /// <summary>Even elements of the 2 <see cref="Count"/> at <paramref name="source"/>, and odd ones.</summary>
    static abstract void LoadPairs(float* source, out TFloats even, out TFloats odd);

    static abstract void StorePairs(TFloats even, TFloats odd, float* destination);

    /// <summary>Halfwords in the upper halves of words; the lower halves are undefined.</summary>
    static abstract TWords LoadHalfwords(ushort* source);

    /// <summary>The low halfword of every word.</summary>
    static abstract void StoreHalfwords(TWords value, ushort* destination);

    /// <summary>2 <see cref="Count"/> halfwords, even ones and odd ones, in the upper halves of words; the lower halves are undefined.</summary>
    static abstract void LoadHalfwordPairs(ushort* source, out TWords even, out TWords odd);

    /// <summary>The low halfwords of both, alternating; the upper ones are 0.</summary>
    static abstract void StoreHalfwordPairs(TWords even, TWords odd, ushort* destination);

    /// <summary>binary16 in the upper halves to float32: exact, signalling NaN becomes quiet.</summary>
    static abstract TFloats WidenF16(TWords bits);

    /// <summary>bfloat16 in the upper halves to float32: the same bits.</summary>
    static abstract TFloats WidenBF16(TWords bits);

    /// <summary>To binary16 in the lower halves, to nearest even; every NaN becomes the quiet one of its sign.</summary>
    static abstract TWords NarrowF16(TFloats value);

    /// <summary>To bfloat16 in the lower halves, to nearest even; NaN becomes quiet.</summary>
    static abstract TWords NarrowBF16(TFloats value);
}
