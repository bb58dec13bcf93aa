using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Linear;

/// <summary>One input: y = W x, bound by the speed at which the weights are read.</summary>
internal static unsafe class Gemv
{
    /// <summary>output[i] = W[rows[i]] · input (+ bias[i]) (+ output[i]).</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="weights">The matrix.</param>
    /// <param name="rows">Rows to take, or null for all.</param>
    /// <param name="count">Rows to multiply.</param>
    /// <param name="input"><c>[columns]</c>.</param>
    /// <param name="output"><c>[count]</c>.</param>
    /// <param name="bias"><c>[count]</c> or null.</param>
    /// <param name="accumulate">Add to the output.</param>
    public static void Multiply(KernelContext context, in WeightMatrix weights, int* rows, int count, float* input, float* output, float* bias, bool accumulate)
    {
        Call call = new()
        {
            Context = context,
            Rows = new RowSource(weights, rows, count),
            Input = input,
            Output = output,
            Bias = bias,
            Accumulate = accumulate,
        };
        LinearPath.RunRows(context.Isa, weights.Type, ref call);
    }

    private struct Call : IRowCall
    {
        public KernelContext Context;
        public RowSource Rows;
        public float* Input, Output, Bias;
        public bool Accumulate;

        public readonly void Run<TKernel>()
            where TKernel : struct, IRowKernel
        {
            nint whole = Rows.Columns / TKernel.Step * TKernel.Step;
            byte* packed = (byte*)Input;
            if (TKernel.Packs)
            {
                packed = (byte*)Context.SharedScratch(TKernel.PackedBytes(whole, 1));
                TKernel.Pack(Input, 0, 1, whole, packed);
            }

            Job<TKernel> job = new() { Rows = Rows, Whole = whole, Packed = packed, Input = Input, Output = Output, Bias = Bias, Accumulate = Accumulate };
            Context.Pool.Run(in job, Rows.Chunks);
        }
    }

    private struct Job<TKernel> : IParallelJob
        where TKernel : struct, IRowKernel
    {
        public RowSource Rows;
        public nint Whole;
        public byte* Packed;
        public float* Input, Output, Bias;
        public bool Accumulate;

        public readonly void Execute(int chunk, int worker)
        {
            float* sums = stackalloc float[RowGroup.Rows];
            RowRange range = Rows.Range(chunk);
            for (long row = range.First; row < range.FirstQuarterEnd; row++)
            {
                RowGroup group = Rows.Group(row, range.Quarter, 0);
                Rows.StreamAhead(ref group, Whole, range.After(row), range.Quarter, 0);
                TKernel.Run<Count1>(in group, Packed, Whole, sums);
                int count = range.Count(row);
                for (int i = 0; i < count; i++) Finish(row + (i * range.Quarter), sums[i]);
            }
        }

        private readonly void Finish(long row, float sum)
        {
            if (Whole < Rows.Columns) sum += TKernel.Tail(Rows.Row(row), Input, Whole, Rows.Columns);
            if (Bias != null) sum += Bias[row];
            Output[row] = Accumulate ? Output[row] + sum : sum;
        }
    }
}
