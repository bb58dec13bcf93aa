using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Linear;

/// <summary>
/// A few inputs: every weight is read from memory once and multiplied with all of them. Columns are cut into blocks whose
/// inputs stay in the cache; four rows of a block are gone over once for each handful of inputs that fits in the registers,
/// while the next four rows are fetched.
/// </summary>
internal static unsafe class SkinnyGemm
{
    /// <summary>The largest batch that comes here.</summary>
    public const int MaxBatch = 16;

    private const int BlockColumns = 1024;

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
            nint whole = Rows.Columns / TKernel.Step * TKernel.Step, blocks = (whole + BlockColumns - 1) / BlockColumns;
            int passes = (Batch + TKernel.MaxInputs - 1) / TKernel.MaxInputs;
            long passBytes = TKernel.PackedBytes(BlockColumns, TKernel.MaxInputs);
            byte* packed = (byte*)Context.SharedScratch(blocks * passes * passBytes), next = packed;
            for (nint column = 0; column < whole; column += BlockColumns)
            {
                for (int pass = 0; pass < passes; pass++, next += passBytes)
                {
                    int start = pass * Batch / passes, count = ((pass + 1) * Batch / passes) - start;
                    TKernel.Pack(Input + ((nint)start * Rows.Columns) + column, Rows.Columns, count, Math.Min(BlockColumns, whole - column), next);
                }
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
            for (long row = range.First; row < range.End; row++) Begin(row);
            for (nint column = 0; column < Whole; column += BlockColumns)
            {
                nint columns = Math.Min(BlockColumns, Whole - column);
                for (long row = range.First; row < range.FirstQuarterEnd; row++) MultiplyBlock(range, row, column, columns);
            }
        }

        private readonly void MultiplyBlock(in RowRange range, long row, nint column, nint columns)
        {
            bool lastRows = row + 1 == range.FirstQuarterEnd, lastBlock = column + columns >= Whole;
            long next = lastRows && !lastBlock ? range.First : range.After(row);
            nint nextColumn = !lastRows ? column : lastBlock ? 0 : column + columns;
            RowGroup group = Rows.Group(row, range.Quarter, column);
            Rows.StreamAhead(ref group, columns, next, range.Quarter, nextColumn);
            RowGroup own = group;
            byte* inputs = Packed + (column / BlockColumns * Passes * PassBytes);
            float* sums = stackalloc float[RowGroup.Rows * 4];
            int rows = range.Count(row);
            for (int pass = 0; pass < Passes; pass++, inputs += PassBytes)
            {
                if (Passes > 1) group = FetchShare(own, pass);
                int start = pass * Batch / Passes, count = ((pass + 1) * Batch / Passes) - start;
                if (count == 1) TKernel.Run<Count1>(in group, inputs, columns, sums);
                else if (count == 2) TKernel.Run<Count2>(in group, inputs, columns, sums);
                else if (count == 3) TKernel.Run<Count3>(in group, inputs, columns, sums);
                else TKernel.Run<Count4>(in group, inputs, columns, sums);
                for (int i = 0; i < count; i++)
                {
                    float* output = Output + ((long)(start + i) * Rows.Count) + row;
                    for (int r = 0; r < rows; r++) output[r * range.Quarter] += sums[(i * RowGroup.Rows) + r];
                }
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

        // What the blocks do not bring: bias, what was there, and columns that fill no step.
        private readonly void Begin(long row)
        {
            for (int i = 0; i < Batch; i++)
            {
                float sum = Bias == null ? 0 : Bias[row];
                if (Whole < Rows.Columns) sum += TKernel.Tail(Rows.Row(row), Input + ((nint)i * Rows.Columns), Whole, Rows.Columns);
                float* output = Output + ((long)i * Rows.Count) + row;
                *output = Accumulate ? *output + sum : sum;
            }
        }
    }
}
