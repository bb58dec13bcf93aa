using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Linear;

/// <summary>
/// A few inputs: every weight is read from memory once and multiplied with all of them. Four rows are gone over once for each
/// handful of inputs that fits in the registers, while the next four rows are fetched. Rows are not cut into blocks whose inputs stay in
/// the first-level cache: starting and adding up a block costs more than reading inputs from further away.
/// </summary>
internal static unsafe class SkinnyGemm
{
    /// <summary>The largest batch that comes here.</summary>
    public const int MaxBatch = 16;

    /// <summary>output[b, r] = W[r] · input[b] (+ bias[r]) (+ output[b, r]).</summary>
    public static void Multiply(KernelContext context, in WeightMatrix weights, float* input, float* output, int batch, float* bias, bool accumulate)
    {
        Call call = new()
        {
            Context = context,
            Rows = new RowSource(weights, null, weights.Rows),
            Input = input,
            Output = output,
            Bias = bias,
            Batch = batch,
            Accumulate = accumulate,
        };
        LinearPath.RunRows(context.Isa, weights.Type, ref call);
    }

    private struct Call : IRowCall
    {
        public KernelContext Context;
        public RowSource Rows;
        public float* Input, Output, Bias;
        public int Batch;
        public bool Accumulate;

        public readonly void Run<TKernel>()
            where TKernel : struct, IRowKernel
        {
            nint whole = Rows.Columns / TKernel.Step * TKernel.Step;
            int passes = (Batch + TKernel.MaxInputs - 1) / TKernel.MaxInputs;
            long passBytes = TKernel.PackedBytes(whole, TKernel.MaxInputs);
            byte* packed = (byte*)Context.SharedScratch(passes * passBytes);
            for (int pass = 0; pass < passes; pass++)
            {
                int start = pass * Batch / passes, count = ((pass + 1) * Batch / passes) - start;
                TKernel.Pack(Input + ((nint)start * Rows.Columns), Rows.Columns, count, whole, packed + (pass * passBytes));
            }

            Job<TKernel> job = new()
            {
                Rows = Rows,
                Whole = whole,
                Packed = packed,
                PassBytes = passBytes,
                Input = Input,
                Output = Output,
                Bias = Bias,
                Batch = Batch,
                Passes = passes,
                Accumulate = Accumulate,
            };
            Context.Pool.Run(in job, Rows.Chunks);
        }
    }

    private struct Job<TKernel> : IParallelJob
        where TKernel : struct, IRowKernel
    {
        public RowSource Rows;
        public nint Whole;
        public byte* Packed;
        public long PassBytes;
        public float* Input, Output, Bias;
        public int Batch, Passes;
        public bool Accumulate;

        public readonly void Execute(int chunk, int worker)
        {
            RowRange range = Rows.Range(chunk);
            for (long row = range.First; row < range.FirstQuarterEnd; row++) MultiplyRows(range, row);
        }

        private readonly void MultiplyRows(in RowRange range, long row)
        {
            RowGroup group = Rows.Group(row, range.Quarter, 0);
            Rows.StreamAhead(ref group, Whole, range.After(row), range.Quarter, 0);
            RowGroup own = group;
            float* sums = stackalloc float[RowGroup.Rows * 4];
            int rows = range.Count(row);
            for (int pass = 0; pass < Passes; pass++)
            {
                if (Passes > 1) group = FetchShare(own, pass);
                byte* inputs = Packed + (pass * PassBytes);
                int start = pass * Batch / Passes, count = ((pass + 1) * Batch / Passes) - start;
                if (count == 1) TKernel.Run<Count1>(in group, inputs, Whole, sums);
                else if (count == 2) TKernel.Run<Count2>(in group, inputs, Whole, sums);
                else if (count == 3) TKernel.Run<Count3>(in group, inputs, Whole, sums);
                else TKernel.Run<Count4>(in group, inputs, Whole, sums);
                for (int i = 0; i < count; i++)
                    for (int r = 0; r < rows; r++) Store(start + i, row + (r * range.Quarter), sums[(i * RowGroup.Rows) + r]);
            }
        }

        // With several passes the memory has that many times as long to deliver the next rows: each pass fetches some of them whole.
        private readonly RowGroup FetchShare(RowGroup group, int pass)
        {
            nint back = group.Split * TKernel.Size;
            group.Next0 = pass == 0 ? group.Next0 + back : group.Row0;
            group.Next1 = pass == Passes / 4 ? group.Next1 + back : group.Row1;
            group.Next2 = pass == Passes / 2 ? group.Next2 + back : group.Row2;
            group.Next3 = pass == Passes * 3 / 4 ? group.Next3 + back : group.Row3;
            group.Split = 0;
            return group;
        }

        // With what the kernel does not bring: bias, what was there, and columns that fill no step.
        private readonly void Store(int input, long row, float sum)
        {
            if (Whole < Rows.Columns) sum += TKernel.Tail(Rows.Row(row), Input + ((nint)input * Rows.Columns), Whole, Rows.Columns);
            if (Bias != null) sum += Bias[row];
            float* output = Output + ((long)input * Rows.Count) + row;
            *output = Accumulate ? *output + sum : sum;
        }
    }
}
