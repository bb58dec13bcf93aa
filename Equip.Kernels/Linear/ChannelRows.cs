using System.Runtime.CompilerServices;
using Equip.Kernels.Memory;

namespace Equip.Kernels.Linear;

/// <summary>The inner loops of <see cref="ChannelSum"/>. Sums stand in the order in which weights are loaded.</summary>
internal static unsafe class ChannelRows<TLanes, TVector, TWeights>
    where TLanes : struct, ILinearLanes<TVector>
    where TVector : unmanaged
    where TWeights : struct, IStoredWeights
{
    /// <summary>Columns are added in multiples of this many.</summary>
    public static int Step => 2 * TLanes.Width;

    /// <summary>sums += factors[0] * row 0 + ... for the first TRows rows of a group.</summary>
    /// <returns>Whether a weight was met that only the exact (TExact = 1) way of loading gets right.</returns>
    public static bool Add<TRows, TExact>(in RowGroup group, float* factors, nint columns, float* sums)
        where TRows : struct, ICount
        where TExact : struct, ICount
    {
        byte* row0 = group.Row0, row1 = group.Row1, row2 = group.Row2, row3 = group.Row3;
        byte* ahead0 = group.Ahead0, ahead1 = group.Ahead1, ahead2 = group.Ahead2, ahead3 = group.Ahead3;
        TVector factor0 = Factor(factors[0]), factor1 = default, factor2 = default, factor3 = default, seen = default;
        if (TRows.Value > 1) factor1 = Factor(factors[1]);
        if (TRows.Value > 2) factor2 = Factor(factors[2]);
        if (TRows.Value > 3) factor3 = Factor(factors[3]);
        nint column = 0, end = group.Split;
        while (column < columns)
        {
            if (column == group.Split)
            {
                ahead0 = group.Next0;
                ahead1 = group.Next1;
                ahead2 = group.Next2;
                ahead3 = group.Next3;
                end = columns;
            }

            do
            {
                Prefetch(ahead0, column);
                Prefetch(ahead1, column);
                Prefetch(ahead2, column);
                Prefetch(ahead3, column);
                TVector first = TLanes.Load(sums + column), second = TLanes.Load(sums + column + TLanes.Width);
                AddRow<TExact>(row0, column, factor0, ref first, ref second, ref seen);
                if (TRows.Value > 1) AddRow<TExact>(row1, column, factor1, ref first, ref second, ref seen);
                if (TRows.Value > 2) AddRow<TExact>(row2, column, factor2, ref first, ref second, ref seen);
                if (TRows.Value > 3) AddRow<TExact>(row3, column, factor3, ref first, ref second, ref seen);
                TLanes.Store(sums + column, first);
                TLanes.Store(sums + column + TLanes.Width, second);
                column += Step;
            }
            while (column < end);
        }

        return TExact.Value == 0 && TWeights.MetUnusual<TLanes, TVector>(seen);
    }

    /// <summary>output (+)= the sums of all parts, <paramref name="stride"/> floats from part to part.</summary>
    public static void Finish(float* sums, nint stride, int parts, nint columns, float* output, bool accumulate)
    {
        float* merged = stackalloc float[32];
        nint column = 0;
        for (; column <= columns - Step; column += Step)
        {
            TVector first = TLanes.Load(sums + column), second = TLanes.Load(sums + column + TLanes.Width);
            for (nint part = 1; part < parts; part++)
            {
                first = TLanes.Add(first, TLanes.Load(sums + (part * stride) + column));
                second = TLanes.Add(second, TLanes.Load(sums + (part * stride) + column + TLanes.Width));
            }

            TVector lift = TLanes.Broadcast(TWeights.Lift);
            first = TLanes.Multiply(first, lift);
            second = TLanes.Multiply(second, lift);
            if (TWeights.Splits)
            {
                TLanes.Merge(first, second, merged);
                first = TLanes.Load(merged);
                second = TLanes.Load(merged + TLanes.Width);
            }

            if (accumulate)
            {
                first = TLanes.Add(TLanes.Load(output + column), first);
                second = TLanes.Add(TLanes.Load(output + column + TLanes.Width), second);
            }

            TLanes.Store(output + column, first);
            TLanes.Store(output + column + TLanes.Width, second);
        }

        for (; column < columns; column++)
        {
            float sum = 0;
            for (nint part = 0; part < parts; part++) sum += sums[(part * stride) + column];
            output[column] = accumulate ? output[column] + sum : sum;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Factor(float value) => TLanes.Broadcast(value * TWeights.Lift);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddRow<TExact>(byte* row, nint column, TVector factor, ref TVector first, ref TVector second, ref TVector seen)
        where TExact : struct, ICount
    {
        TVector weights0, weights1;
        if (TExact.Value > 0) TWeights.Load<TLanes, TVector>(row, column, out weights0, out weights1);
        else TWeights.LoadUsual<TLanes, TVector>(row, column, out weights0, out weights1, ref seen);
        first = TLanes.MultiplyAdd(weights0, factor, first);
        second = TLanes.MultiplyAdd(weights1, factor, second);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(byte* ahead, nint column)
    {
        if (TLanes.Width > 1) ReadAhead.Fetch(ahead + (column * TWeights.Size), Step * TWeights.Size);
    }
}
