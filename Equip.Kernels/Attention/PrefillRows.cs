using System.Runtime.CompilerServices;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Attention;

/// <summary>
/// One to three vectors of lanes that the matrix kernels hold as one row of their register tile. Three fields rather than
/// nested pairs: so the compiler keeps every vector in a register and broadcasts the factor from memory, off the FMA ports.
/// </summary>
internal unsafe interface IPrefillRow<TRow>
    where TRow : struct, IPrefillRow<TRow>
{
    static abstract TRow Load(float* source);

    static abstract TRow Multiply(TRow a, TRow b);

    /// <summary>*factor * lanes + sum. The factor comes by address: a value is loaded into a register and broadcast from there, on a multiply-add port.</summary>
    static abstract TRow MultiplyAdd(float* factor, TRow lanes, TRow sum);

    static abstract void Store(float* destination, TRow row);
}

/// <summary>One vector: the rest of a block.</summary>
internal unsafe struct PrefillRow1<TLanes, TFloats, TWords> : IPrefillRow<PrefillRow1<TLanes, TFloats, TWords>>
    where TLanes : struct, ILanes<TFloats, TWords>
    where TFloats : struct
    where TWords : struct
{
    private TFloats _a;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PrefillRow1<TLanes, TFloats, TWords> Load(float* source) => new() { _a = TLanes.Load(source) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PrefillRow1<TLanes, TFloats, TWords> Multiply(PrefillRow1<TLanes, TFloats, TWords> a, PrefillRow1<TLanes, TFloats, TWords> b) => new() { _a = TLanes.Multiply(a._a, b._a) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PrefillRow1<TLanes, TFloats, TWords> MultiplyAdd(float* factor, PrefillRow1<TLanes, TFloats, TWords> lanes, PrefillRow1<TLanes, TFloats, TWords> sum)
        => new() { _a = TLanes.MultiplyAdd(TLanes.Create(*factor), lanes._a, sum._a) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(float* destination, PrefillRow1<TLanes, TFloats, TWords> row) => TLanes.Store(row._a, destination);
}

/// <summary>Two vectors: the rest of a block.</summary>
internal unsafe struct PrefillRow2<TLanes, TFloats, TWords> : IPrefillRow<PrefillRow2<TLanes, TFloats, TWords>>
    where TLanes : struct, ILanes<TFloats, TWords>
    where TFloats : struct
    where TWords : struct
{
    private TFloats _a, _b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PrefillRow2<TLanes, TFloats, TWords> Load(float* source) => new() { _a = TLanes.Load(source), _b = TLanes.Load(source + TLanes.Count) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PrefillRow2<TLanes, TFloats, TWords> Multiply(PrefillRow2<TLanes, TFloats, TWords> a, PrefillRow2<TLanes, TFloats, TWords> b)
        => new() { _a = TLanes.Multiply(a._a, b._a), _b = TLanes.Multiply(a._b, b._b) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PrefillRow2<TLanes, TFloats, TWords> MultiplyAdd(float* factor, PrefillRow2<TLanes, TFloats, TWords> lanes, PrefillRow2<TLanes, TFloats, TWords> sum)
    {
        TFloats all = TLanes.Create(*factor);
        return new() { _a = TLanes.MultiplyAdd(all, lanes._a, sum._a), _b = TLanes.MultiplyAdd(all, lanes._b, sum._b) };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(float* destination, PrefillRow2<TLanes, TFloats, TWords> row)
    {
        TLanes.Store(row._a, destination);
        TLanes.Store(row._b, destination + TLanes.Count);
    }
}

/// <summary>
/// Three vectors: a full block. Four such rows are twelve independent sums, enough to cover the latency of two FMA units,
/// and with three lane vectors and a broadcast they just fill the sixteen registers of AVX2.
/// </summary>
internal unsafe struct PrefillRow3<TLanes, TFloats, TWords> : IPrefillRow<PrefillRow3<TLanes, TFloats, TWords>>
    where TLanes : struct, ILanes<TFloats, TWords>
    where TFloats : struct
    where TWords : struct
{
    private TFloats _a, _b, _c;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PrefillRow3<TLanes, TFloats, TWords> Load(float* source)
        => new() { _a = TLanes.Load(source), _b = TLanes.Load(source + TLanes.Count), _c = TLanes.Load(source + (2 * TLanes.Count)) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PrefillRow3<TLanes, TFloats, TWords> Multiply(PrefillRow3<TLanes, TFloats, TWords> a, PrefillRow3<TLanes, TFloats, TWords> b)
        => new() { _a = TLanes.Multiply(a._a, b._a), _b = TLanes.Multiply(a._b, b._b), _c = TLanes.Multiply(a._c, b._c) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PrefillRow3<TLanes, TFloats, TWords> MultiplyAdd(float* factor, PrefillRow3<TLanes, TFloats, TWords> lanes, PrefillRow3<TLanes, TFloats, TWords> sum)
    {
        TFloats all = TLanes.Create(*factor);
        return new() { _a = TLanes.MultiplyAdd(all, lanes._a, sum._a), _b = TLanes.MultiplyAdd(all, lanes._b, sum._b), _c = TLanes.MultiplyAdd(all, lanes._c, sum._c) };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(float* destination, PrefillRow3<TLanes, TFloats, TWords> row)
    {
        TLanes.Store(row._a, destination);
        TLanes.Store(row._b, destination + TLanes.Count);
        TLanes.Store(row._c, destination + (2 * TLanes.Count));
    }
}
