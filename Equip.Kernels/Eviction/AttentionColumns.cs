using System.Runtime.Intrinsics;
using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Eviction;

/// <summary>
/// Reduces window probabilities <c>[heads, window, rows]</c> over the window: one number for every row, of each query head or of
/// each group. One pass over the probabilities.
/// </summary>
internal static unsafe class AttentionColumns
{
    // Columns of one chunk of work.
    private const int ChunkColumns = 512;

    private interface IReduction
    {
        static abstract TFloats Combine<TLanes, TFloats, TWords>(TFloats all, TFloats a, TFloats b)
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct;
    }

    /// <summary>
    /// output[h, i] = reduction over the window of A_h[:, i], for rows [first, first + count); with <paramref name="meanOfGroup"/> of
    /// the mean of a group's A, and h counts KV heads.
    /// </summary>
    public static float[] Reduce(KernelContext context, in AttentionShape shape, ReadOnlySpan<float> probabilities, int window, int rows, int first, int count, ColumnReduction reduction, bool meanOfGroup)
    {
        int outputs = meanOfGroup ? shape.KvHeads : shape.Heads, members = meanOfGroup ? shape.Group : 1;
        float[] output = new float[checked(outputs * count)];
        fixed (float* from = probabilities, to = output)
        {
            Columns columns = new() { From = from + first, To = to, Window = window, Rows = rows, Count = count, Members = members, Step = members, Outputs = outputs };
            if (reduction == ColumnReduction.L2) Run<SquareReduction>(context, columns);
            else if (reduction == ColumnReduction.Max) Run<MaxReduction>(context, columns);
            else Run<SumReduction>(context, columns);
        }

        if (reduction == ColumnReduction.L2)
            for (int i = 0; i < output.Length; i++) output[i] = MathF.Sqrt(output[i]);
        if (reduction == ColumnReduction.Mean)
            for (int i = 0; i < output.Length; i++) output[i] /= window;
        return output;
    }

    /// <summary>output[k, i] = sum over the window of A_h[:, i] A_h'[:, i], h = k group + <paramref name="member"/> and h' likewise.</summary>
    public static float[] InnerProducts(KernelContext context, in AttentionShape shape, ReadOnlySpan<float> probabilities, int window, int rows, int first, int count, int member, int other)
    {
        float[] output = new float[checked(shape.KvHeads * count)];
        fixed (float* from = probabilities, to = output)
        {
            long head = (long)window * rows;
            Columns columns = new()
            {
                From = from + (member * head) + first,
                To = to,
                Window = window,
                Rows = rows,
                Count = count,
                Members = 1,
                Step = shape.Group,
                Outputs = shape.KvHeads,
                Other = (other - member) * head,
            };
            Run<SquareReduction>(context, columns);
        }

        return output;
    }

    private static void Run<TReduction>(KernelContext context, in Columns columns)
        where TReduction : struct, IReduction
    {
        int chunks = (columns.Count + ChunkColumns - 1) / ChunkColumns;
        if (chunks == 0) return;
        if (context.Isa == Isa.Avx512) context.Pool.Run(new Job<TReduction, Avx512Lanes, Vector512<float>, Vector512<uint>> { Columns = columns, Chunks = chunks }, columns.Outputs * chunks);
        else if (context.Isa == Isa.Avx2) context.Pool.Run(new Job<TReduction, Avx2Lanes, Vector256<float>, Vector256<uint>> { Columns = columns, Chunks = chunks }, columns.Outputs * chunks);
        else context.Pool.Run(new Job<TReduction, ScalarLanes, float, uint> { Columns = columns, Chunks = chunks }, columns.Outputs * chunks);
    }

    private struct Columns
    {
        public float* From;     // probabilities, the first column wanted
        public float* To;       // [outputs, count]
        public int Window;
        public int Rows;
        public int Count;
        public int Members;     // heads that are averaged
        public int Step;        // heads from one output to the next
        public int Outputs;
        public long Other;      // from a head to the one that it is multiplied by
    }

    private struct Job<TReduction, TLanes, TFloats, TWords> : IParallelJob
        where TReduction : struct, IReduction
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        public Columns Columns;
        public int Chunks;

        public readonly void Execute(int chunk, int worker)
        {
            int output = chunk / Chunks, first = chunk % Chunks * ChunkColumns, end = Math.Min(first + ChunkColumns, Columns.Count);
            float* from = Columns.From + ((long)output * Columns.Step * Columns.Window * Columns.Rows), to = Columns.To + ((long)output * Columns.Count);
            TFloats share = TLanes.Create(1f / Columns.Members);
            for (int i = first; i < end; i += TLanes.Count)
            {
                int count = Math.Min(TLanes.Count, end - i);
                TFloats all = TLanes.Create(0);
                for (int query = 0; query < Columns.Window; query++)
                {
                    float* row = from + ((long)query * Columns.Rows) + i;
                    TFloats a = Load(row, count);
                    for (int member = 1; member < Columns.Members; member++) a = TLanes.Add(a, Load(row + ((long)member * Columns.Window * Columns.Rows), count));
                    a = TLanes.Multiply(a, share);
                    all = TReduction.Combine<TLanes, TFloats, TWords>(all, a, Columns.Other == 0 ? a : Load(row + Columns.Other, count));
                }

                if (count == TLanes.Count) TLanes.Store(all, to + i);
                else TLanes.StorePartial(all, to + i, count);
            }
        }

        private static TFloats Load(float* source, int count) => count == TLanes.Count ? TLanes.Load(source) : TLanes.LoadPartial(source, count, 0);
    }

    private readonly struct SumReduction : IReduction
    {
        public static TFloats Combine<TLanes, TFloats, TWords>(TFloats all, TFloats a, TFloats b)
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct => TLanes.Add(all, a);
    }

    private readonly struct SquareReduction : IReduction
    {
        public static TFloats Combine<TLanes, TFloats, TWords>(TFloats all, TFloats a, TFloats b)
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct => TLanes.MultiplyAdd(a, b, all);
    }

    private readonly struct MaxReduction : IReduction
    {
        public static TFloats Combine<TLanes, TFloats, TWords>(TFloats all, TFloats a, TFloats b)
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct => TLanes.MaxOrNaN(all, a);
    }
}
