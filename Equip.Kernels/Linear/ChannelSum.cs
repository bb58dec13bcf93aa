using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Linear;

/// <summary>
/// y = sum of scaled rows. The list of rows is cut into parts and the columns into blocks; each part sums its rows, four at
/// a time, into floats of its own, and then the parts are added in their order. The cuts depend on the shape and the thread count alone.
/// </summary>
internal static unsafe class ChannelSum
{
    // Sums of a block come from near caches; shorter blocks would cut rows into shorter streams, which costs more than sums that leave the first level.
    private const int BlockColumns = 8192;

    // A part starts on cold streams and its sums are read again, so there are few, yet enough to share out.
    private const int LeastPartBytes = 128 << 10;
    private const int PartsPerThread = 8;
    private const int MostParts = 256;

    // The parts of so many columns are added by one thread.
    private const int FinishColumns = 1024;

    public static void Add(KernelContext context, in WeightMatrix weights, int* list, int count, float* activations, float* output, bool accumulate)
    {
        long bytes = (long)count * weights.Columns * weights.Type.Size();
        Call call = new()
        {
            Context = context,
            Rows = new RowSource(weights, list, count),
            Parts = (int)Math.Clamp(bytes / LeastPartBytes, 1, Math.Min(PartsPerThread * context.Threads, MostParts)),
            Activations = activations,
            Output = output,
            Accumulate = accumulate,
        };
        LinearPath.Run(context.Isa, weights.Type, ref call);
    }

    private struct Call : ILinearCall
    {
        public KernelContext Context;
        public RowSource Rows;
        public int Parts;
        public float* Activations, Output;
        public bool Accumulate;

        public readonly void Run<TLanes, TVector, TWeights>()
            where TLanes : struct, ILinearLanes<TVector>
            where TVector : unmanaged
            where TWeights : struct, IStoredWeights
        {
            int blocks = (int)(((long)Rows.Columns + BlockColumns - 1) / BlockColumns);
            Job<TLanes, TVector, TWeights> job = new()
            {
                Rows = Rows,
                Blocks = blocks,
                Parts = Parts,
                Activations = Activations,
                Output = Output,
                Accumulate = Accumulate,
                Sums = (float*)Context.SharedScratch((long)Parts * blocks * BlockColumns * sizeof(float)),
            };
            Context.Pool.Run(in job, Parts * blocks);
            Finish<TLanes, TVector, TWeights> finish = new() { Of = job };
            Context.Pool.Run(in finish, (Rows.Columns + FinishColumns - 1) / FinishColumns);
        }
    }

    private struct Job<TLanes, TVector, TWeights> : IParallelJob
        where TLanes : struct, ILinearLanes<TVector>
        where TVector : unmanaged
        where TWeights : struct, IStoredWeights
    {
        public RowSource Rows;
        public int Blocks, Parts;
        public float* Activations, Output, Sums;
        public bool Accumulate;

        public readonly void Execute(int chunk, int worker)
        {
            int part = chunk / Blocks, block = chunk % Blocks;
            RowRange range = new((long)Rows.Count * part / Parts, (long)Rows.Count * (part + 1) / Parts);
            nint column = (nint)block * BlockColumns, columns = Math.Min(BlockColumns, Rows.Columns - column);
            float* sums = Sums + ((long)chunk * BlockColumns);
            if (AddRows<Count0>(range, column, columns, sums)) AddRows<Count1>(range, column, columns, sums);
        }

        private readonly bool AddRows<TExact>(in RowRange range, nint column, nint columns, float* sums)
            where TExact : struct, ICount
        {
            new Span<float>(sums, (int)columns).Clear();
            nint whole = columns / ChannelRows<TLanes, TVector, TWeights>.Step * ChannelRows<TLanes, TVector, TWeights>.Step;
            bool unusual = false;
            float* factors = stackalloc float[RowGroup.Rows];
            for (long row = range.First; row < range.FirstQuarterEnd; row++)
            {
                RowGroup group = Rows.Group(row, range.Quarter, column);
                Rows.StreamAhead(ref group, whole, range.After(row), range.Quarter, column);
                int count = range.Count(row);
                for (int i = 0; i < count; i++) factors[i] = Activations[row + (i * range.Quarter)];
                unusual |= count switch
                {
                    1 => ChannelRows<TLanes, TVector, TWeights>.Add<Count1, TExact>(in group, factors, whole, sums),
                    2 => ChannelRows<TLanes, TVector, TWeights>.Add<Count2, TExact>(in group, factors, whole, sums),
                    3 => ChannelRows<TLanes, TVector, TWeights>.Add<Count3, TExact>(in group, factors, whole, sums),
                    _ => ChannelRows<TLanes, TVector, TWeights>.Add<Count4, TExact>(in group, factors, whole, sums),
                };
                for (int i = 0; i < count && whole < columns; i++)
                {
                    for (nint c = whole; c < columns; c++) sums[c] += factors[i] * TWeights.At(Rows.Row(row + (i * range.Quarter)), column + c);
                }
            }

            return unusual;
        }
    }

    private struct Finish<TLanes, TVector, TWeights> : IParallelJob
        where TLanes : struct, ILinearLanes<TVector>
        where TVector : unmanaged
        where TWeights : struct, IStoredWeights
    {
        public Job<TLanes, TVector, TWeights> Of;

        public readonly void Execute(int chunk, int worker)
        {
            nint column = (nint)chunk * FinishColumns, columns = Math.Min(FinishColumns, Of.Rows.Columns - column);
            // A part's blocks lie end to end.
            float* sums = Of.Sums + column;
            ChannelRows<TLanes, TVector, TWeights>.Finish(sums, (nint)Of.Blocks * BlockColumns, Of.Parts, columns, Of.Output + column, Of.Accumulate);
        }
    }
}
