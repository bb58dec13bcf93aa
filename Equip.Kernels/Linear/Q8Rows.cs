using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Equip.Kernels.Memory;

namespace Equip.Kernels.Linear;

/// <summary>
/// Rows of Q8 against one or two inputs that are themselves rounded to bytes in blocks of 32: the sum of a block is
/// an exact integer. Rounding the inputs moves y by at most sum over blocks of max|x| / 254 * sum|w| (a half step an input).
/// </summary>
internal readonly unsafe struct Q8Rows<TLanes, TVector, TDots, TBytes, TInts> : IRowKernel
    where TLanes : struct, ILinearLanes<TVector>
    where TVector : unmanaged
    where TDots : struct, IByteLanes<TVector, TBytes, TInts>
    where TBytes : unmanaged
    where TInts : unmanaged
{
    private const int Block = WeightMatrix.BlockSize;

    // Columns whose factors (weight scale times input scale) are computed before their products: so many that a factor has long
    // been stored when it is loaded. Computed eight at a time just before use they cost a third of the speed.
    private const int PartColumns = 2048;
    private const int PartBlocks = PartColumns / Block;

    // Columns between two rounds of prefetching: a line of every row. A processor that is asked for many lines at once makes its other
    // loads wait.
    private const int FetchColumns = 64;

    public static int Size => 1;

    public static int Step => Block;

    public static int MaxInputs => 2;

    public static bool Packs => true;

    // Bytes, then scales (each input's in a row), then offsets.
    public static long PackedBytes(nint columns, int count) => (((columns + (columns / Block * (sizeof(float) + sizeof(int)))) * count) + 63) & ~63L;

    public static void Pack(float* input, nint stride, int count, nint columns, byte* packed)
    {
        nint blocks = columns / Block;
        float* scales = (float*)(packed + (columns * count));
        int* offsets = (int*)(scales + (blocks * count));
        for (nint block = 0; block < blocks; block++)
        {
            for (int i = 0; i < count; i++)
            {
                float* source = input + (i * stride) + (block * Block);
                scales[(i * blocks) + block] = Unit(TDots.Largest(source), out float inverse);
                *offsets++ = -128 * TDots.Round(source, inverse, (sbyte*)packed);
                packed += Block;
            }
        }
    }

    public static float Tail(byte* row, float* input, nint from, nint to) => 0;

    [SkipLocalsInit]
    public static void Run<TInputs>(in RowGroup group, byte* packed, nint columns, float* sums)
        where TInputs : struct, ICount
    {
        TVector* lanes = stackalloc TVector[RowGroup.Rows * 2];
        float* factors = stackalloc float[RowGroup.Rows * 2 * PartBlocks];
        for (int i = 0; i < RowGroup.Rows * TInputs.Value; i++) lanes[i] = default;
        for (nint column = 0; column < columns; column += PartColumns)
        {
            nint end = Math.Min(column + PartColumns, columns);
            if (TLanes.Width > 1) FetchScales(in group, end / Block, end < columns);
            float* scales = (float*)(packed + (columns * TInputs.Value));
            for (int i = 0; i < TInputs.Value; i++)
                Scale(in group, column / Block, (end - column) / Block, scales + (i * (columns / Block)), factors + (i * RowGroup.Rows * PartBlocks));
            AddPart<TInputs>(in group, packed, columns, column, end, factors, lanes);
        }

        for (int i = 0; i < TInputs.Value; i++, lanes += RowGroup.Rows, sums += RowGroup.Rows)
            TLanes.SumLanes(lanes[0], lanes[1], lanes[2], lanes[3], sums);
    }

    /// <summary>
    /// The unit of an input block, a 127th of its largest magnitude, and its inverse, 0 if the bytes are to be 0: the unit is NaN where
    /// the block is not finite, so that the fault reaches the result, and 0 where the inverse would overflow (below 1e-30).
    /// </summary>
    private static float Unit(int largest, out float inverse)
    {
        float value = BitConverter.Int32BitsToSingle(largest);
        bool finite = largest < 0x7F800000, used = finite && value >= 1e-30f;
        inverse = used ? 127 / value : 0;
        return used ? value / 127 : finite ? 0 : float.NaN;
    }

    // The scales of the part, or of the rows, that comes next: too few bytes in too many places for the processor to foresee.
    private static void FetchScales(in RowGroup group, nint first, bool own)
    {
        FetchScales(own ? group.Scales0 + first : group.NextScales0);
        FetchScales(own ? group.Scales1 + first : group.NextScales1);
        FetchScales(own ? group.Scales2 + first : group.NextScales2);
        FetchScales(own ? group.Scales3 + first : group.NextScales3);
    }

    private static void FetchScales(ushort* scales)
    {
        for (int i = 0; i <= PartBlocks; i += 32) Sse.Prefetch0(scales + i);
    }

    private static void Scale(in RowGroup group, nint first, nint count, float* inputScales, float* factors)
    {
        Scale(group.Scales0 + first, inputScales + first, count, factors);
        Scale(group.Scales1 + first, inputScales + first, count, factors + PartBlocks);
        Scale(group.Scales2 + first, inputScales + first, count, factors + (2 * PartBlocks));
        Scale(group.Scales3 + first, inputScales + first, count, factors + (3 * PartBlocks));
    }

    private static void Scale(ushort* scales, float* inputScales, nint count, float* factors)
    {
        nint i = 0;
        for (; i <= count - 8; i += 8) TDots.Scale(scales + i, inputScales + i, factors + i);
        for (; i < count; i++) factors[i] = F16Weights.Widen(scales[i]) * inputScales[i];
    }

    // Nothing is called from here: the sums would leave their registers.
    private static void AddPart<TInputs>(in RowGroup group, byte* packed, nint columns, nint column, nint end, float* factors, TVector* lanes)
        where TInputs : struct, ICount
    {
        byte* row0 = group.Row0, row1 = group.Row1, row2 = group.Row2, row3 = group.Row3;
        int* offsets = (int*)(packed + ((columns + (columns / Block * sizeof(float))) * TInputs.Value)) + (column / Block * TInputs.Value);
        packed += column * TInputs.Value;
        TVector sum00 = lanes[0], sum10 = lanes[1], sum20 = lanes[2], sum30 = lanes[3];
        TVector sum01 = default, sum11 = default, sum21 = default, sum31 = default;
        if (TInputs.Value > 1)
        {
            sum01 = lanes[4];
            sum11 = lanes[5];
            sum21 = lanes[6];
            sum31 = lanes[7];
        }

        while (column < end)
        {
            if (TLanes.Width > 1) Prefetch<TInputs>(in group, column);
            nint stop = Math.Min(column + FetchColumns, end);
            do
            {
                TBytes input = TDots.LoadInput((sbyte*)packed), input1 = default;
                TInts offset = TDots.LoadOffset(offsets), offset1 = default;
                if (TInputs.Value > 1)
                {
                    input1 = TDots.LoadInput((sbyte*)packed + Block);
                    offset1 = TDots.LoadOffset(offsets + 1);
                }

                Add<TInputs>(TDots.LoadWeights(row0 + column), input, offset, input1, offset1, factors, ref sum00, ref sum01);
                Add<TInputs>(TDots.LoadWeights(row1 + column), input, offset, input1, offset1, factors + PartBlocks, ref sum10, ref sum11);
                Add<TInputs>(TDots.LoadWeights(row2 + column), input, offset, input1, offset1, factors + (2 * PartBlocks), ref sum20, ref sum21);
                Add<TInputs>(TDots.LoadWeights(row3 + column), input, offset, input1, offset1, factors + (3 * PartBlocks), ref sum30, ref sum31);
                packed += Block * TInputs.Value;
                offsets += TInputs.Value;
                factors++;
                column += Block;
            }
            while (column < stop);
        }

        lanes[0] = sum00;
        lanes[1] = sum10;
        lanes[2] = sum20;
        lanes[3] = sum30;
        if (TInputs.Value > 1)
        {
            lanes[4] = sum01;
            lanes[5] = sum11;
            lanes[6] = sum21;
            lanes[7] = sum31;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add<TInputs>(TBytes weights, TBytes input, TInts offset, TBytes input1, TInts offset1, float* factor, ref TVector sum, ref TVector sum1)
        where TInputs : struct, ICount
    {
        sum = TLanes.MultiplyAdd(TDots.Dot(weights, input, offset), TLanes.Broadcast(*factor), sum);
        if (TInputs.Value > 1)
            sum1 = TLanes.MultiplyAdd(TDots.Dot(weights, input1, offset1), TLanes.Broadcast(factor[RowGroup.Rows * PartBlocks]), sum1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch<TInputs>(in RowGroup group, nint column)
        where TInputs : struct, ICount
    {
        if (column < group.Split) Prefetch<TInputs>(group.Ahead0 + column, group.Ahead1 + column, group.Ahead2 + column, group.Ahead3 + column);
        else Prefetch<TInputs>(group.Next0 + column, group.Next1 + column, group.Next2 + column, group.Next3 + column);
    }

    // Two inputs are bound by what the core can issue, not by memory: they ask once.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch<TInputs>(byte* line0, byte* line1, byte* line2, byte* line3)
        where TInputs : struct, ICount
    {
        if (TInputs.Value > 1)
        {
            Sse.Prefetch0(line0);
            Sse.Prefetch0(line1);
            Sse.Prefetch0(line2);
            Sse.Prefetch0(line3);
            return;
        }

        ReadAhead.Fetch(line0);
        ReadAhead.Fetch(line1);
        ReadAhead.Fetch(line2);
        ReadAhead.Fetch(line3);
    }
}
