using System.Runtime.CompilerServices;
using Equip.Kernels.Memory;

namespace Equip.Kernels.Linear;

/// <summary>Rows of f32, f16 or bf16 against one to four float32 inputs.</summary>
internal readonly unsafe struct FloatRows<TLanes, TVector, TWeights> : IRowKernel
    where TLanes : struct, ILinearLanes<TVector>
    where TVector : unmanaged
    where TWeights : struct, IStoredWeights
{
    public static int Size => TWeights.Size;

    public static int Step => 2 * TLanes.Width;

    public static int MaxInputs => TLanes.MaxInputs;

    public static bool Packs => TWeights.Splits;

    public static long PackedBytes(nint columns, int count) => ((columns * count * sizeof(float)) + 63) & ~63L;

    public static void Pack(float* input, nint stride, int count, nint columns, byte* packed)
    {
        float* destination = (float*)packed;
        for (nint column = 0; column < columns; column += Step)
        {
            for (int i = 0; i < count; i++, destination += Step)
            {
                float* source = input + (i * stride) + column;
                TVector first, second;
                if (TWeights.Splits)
                {
                    TLanes.Split(source, out first, out second);
                }
                else
                {
                    first = TLanes.Load(source);
                    second = TLanes.Load(source + TLanes.Width);
                }

                if (TWeights.Lift != 1)
                {
                    first = TLanes.Multiply(first, TLanes.Broadcast(TWeights.Lift));
                    second = TLanes.Multiply(second, TLanes.Broadcast(TWeights.Lift));
                }

                TLanes.Store(destination, first);
                TLanes.Store(destination + TLanes.Width, second);
            }
        }
    }

    public static void Run<TInputs>(in RowGroup group, byte* packed, nint columns, float* sums)
        where TInputs : struct, ICount
    {
        if (Sum<TInputs, Count0>(in group, (float*)packed, columns, sums)) Sum<TInputs, Count1>(in group, (float*)packed, columns, sums);
    }

    public static float Tail(byte* row, float* input, nint from, nint to)
    {
        float sum = 0;
        for (nint column = from; column < to; column++) sum += TWeights.At(row, column) * input[column];
        return sum;
    }

    /// <summary>Returns whether a weight was met that only the exact (TExact = 1) way of loading gets right.</summary>
    private static bool Sum<TInputs, TExact>(in RowGroup group, float* inputs, nint columns, float* sums)
        where TInputs : struct, ICount
        where TExact : struct, ICount
    {
        byte* row0 = group.Row0, row1 = group.Row1, row2 = group.Row2, row3 = group.Row3;
        byte* ahead0 = group.Ahead0, ahead1 = group.Ahead1, ahead2 = group.Ahead2, ahead3 = group.Ahead3;
        TVector sum00 = default, sum01 = default, sum02 = default, sum03 = default;
        TVector sum10 = default, sum11 = default, sum12 = default, sum13 = default;
        TVector sum20 = default, sum21 = default, sum22 = default, sum23 = default;
        TVector sum30 = default, sum31 = default, sum32 = default, sum33 = default;
        TVector seen = default;
        // A second counter, always equal to the first: if the second reading of a weight used the first counter, the compiler would spill
        // what was read instead.
        nint column = 0, again = 0, end = group.Split;
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
                TVector input0 = TLanes.Load(inputs), input1 = default, input2 = default, input3 = default;
                if (TInputs.Value == 1)
                {
                    input1 = TLanes.Load(inputs + TLanes.Width);
                    AddBoth<TExact>(row0, column, input0, input1, ref sum00, ref sum01, ref seen);
                    AddBoth<TExact>(row1, column, input0, input1, ref sum10, ref sum11, ref seen);
                    AddBoth<TExact>(row2, column, input0, input1, ref sum20, ref sum21, ref seen);
                    AddBoth<TExact>(row3, column, input0, input1, ref sum30, ref sum31, ref seen);
                }
                else
                {
                    // One half of a step after the other, though that reads each weight twice: twelve sums, three inputs and a weight fill
                    // sixteen registers.
                    input1 = TLanes.Load(inputs + (2 * TLanes.Width));
                    if (TInputs.Value > 2) input2 = TLanes.Load(inputs + (4 * TLanes.Width));
                    if (TInputs.Value > 3) input3 = TLanes.Load(inputs + (6 * TLanes.Width));
                    Add<TInputs>(First<TExact>(row0, column, ref seen), input0, input1, input2, input3, ref sum00, ref sum01, ref sum02, ref sum03);
                    Add<TInputs>(First<TExact>(row1, column, ref seen), input0, input1, input2, input3, ref sum10, ref sum11, ref sum12, ref sum13);
                    Add<TInputs>(First<TExact>(row2, column, ref seen), input0, input1, input2, input3, ref sum20, ref sum21, ref sum22, ref sum23);
                    Add<TInputs>(First<TExact>(row3, column, ref seen), input0, input1, input2, input3, ref sum30, ref sum31, ref sum32, ref sum33);
                    input0 = TLanes.Load(inputs + TLanes.Width);
                    input1 = TLanes.Load(inputs + (3 * TLanes.Width));
                    if (TInputs.Value > 2) input2 = TLanes.Load(inputs + (5 * TLanes.Width));
                    if (TInputs.Value > 3) input3 = TLanes.Load(inputs + (7 * TLanes.Width));
                    Add<TInputs>(Second<TExact>(row0, again), input0, input1, input2, input3, ref sum00, ref sum01, ref sum02, ref sum03);
                    Add<TInputs>(Second<TExact>(row1, again), input0, input1, input2, input3, ref sum10, ref sum11, ref sum12, ref sum13);
                    Add<TInputs>(Second<TExact>(row2, again), input0, input1, input2, input3, ref sum20, ref sum21, ref sum22, ref sum23);
                    Add<TInputs>(Second<TExact>(row3, again), input0, input1, input2, input3, ref sum30, ref sum31, ref sum32, ref sum33);
                }

                inputs += Step * TInputs.Value;
                column += Step;
                again += Step;
            }
            while (column < end);
        }

        if (TInputs.Value == 1)
        {
            sum00 = TLanes.Add(sum00, sum01);
            sum10 = TLanes.Add(sum10, sum11);
            sum20 = TLanes.Add(sum20, sum21);
            sum30 = TLanes.Add(sum30, sum31);
        }

        TLanes.SumLanes(sum00, sum10, sum20, sum30, sums);
        if (TInputs.Value > 1) TLanes.SumLanes(sum01, sum11, sum21, sum31, sums + 4);
        if (TInputs.Value > 2) TLanes.SumLanes(sum02, sum12, sum22, sum32, sums + 8);
        if (TInputs.Value > 3) TLanes.SumLanes(sum03, sum13, sum23, sum33, sums + 12);
        if (TWeights.Lift != 1)
        {
            for (int i = 0; i < RowGroup.Rows * TInputs.Value; i++) sums[i] *= TWeights.Lift;
        }

        return TExact.Value == 0 && TWeights.MetUnusual<TLanes, TVector>(seen);
    }

    // Loading both halves of a float32 step would keep the one that is not asked for in a register.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector First<TExact>(byte* row, nint column, ref TVector seen)
        where TExact : struct, ICount
    {
        if (!TWeights.Splits) return TLanes.Load((float*)row + column);
        TVector first;
        if (TExact.Value > 0) TWeights.Load<TLanes, TVector>(row, column, out first, out _);
        else TWeights.LoadUsual<TLanes, TVector>(row, column, out first, out _, ref seen);
        return first;
    }

    // What is unusual has been seen with the first half.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Second<TExact>(byte* row, nint column)
        where TExact : struct, ICount
    {
        if (!TWeights.Splits) return TLanes.Load((float*)row + column + TLanes.Width);
        TVector second, ignored = default;
        if (TExact.Value > 0) TWeights.Load<TLanes, TVector>(row, column, out _, out second);
        else TWeights.LoadUsual<TLanes, TVector>(row, column, out _, out second, ref ignored);
        return second;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(byte* ahead, nint column)
    {
        if (TLanes.Width > 1) ReadAhead.Fetch(ahead + (column * TWeights.Size), Step * TWeights.Size);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add<TInputs>(TVector weights, TVector input0, TVector input1, TVector input2, TVector input3, ref TVector sum0, ref TVector sum1, ref TVector sum2, ref TVector sum3)
        where TInputs : struct, ICount
    {
        sum0 = TLanes.MultiplyAdd(weights, input0, sum0);
        sum1 = TLanes.MultiplyAdd(weights, input1, sum1);
        if (TInputs.Value > 2) sum2 = TLanes.MultiplyAdd(weights, input2, sum2);
        if (TInputs.Value > 3) sum3 = TLanes.MultiplyAdd(weights, input3, sum3);
    }

    // One input alone has registers to spare: a second set of sums halves the chain of dependent additions.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddBoth<TExact>(byte* row, nint column, TVector input0, TVector input1, ref TVector sum0, ref TVector sum1, ref TVector seen)
        where TExact : struct, ICount
    {
        TVector first, second;
        if (TExact.Value > 0) TWeights.Load<TLanes, TVector>(row, column, out first, out second);
        else TWeights.LoadUsual<TLanes, TVector>(row, column, out first, out second, ref seen);
        sum0 = TLanes.MultiplyAdd(first, input0, sum0);
        sum1 = TLanes.MultiplyAdd(second, input1, sum1);
    }
}
