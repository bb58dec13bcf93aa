using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Linear;

/// <summary>
/// <c>Y = X Wᵀ + b</c> for many inputs: weights <c>[rows, columns]</c> of any <see cref="Numerics.DataType"/>, input
/// <c>[batch, columns]</c> and output <c>[batch, rows]</c> in float32.
/// </summary>
/// <remarks>
/// The layering of Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008), with weights and inputs in
/// each other's place: weights are widened and transposed into panels of <see cref="IGemmPath.PanelRows"/> rows, which stay in L2
/// while tiles of <see cref="IGemmPath.TileBatch"/> inputs come into L1 one after the other and are multiplied by each panel. Every tile
/// also fetches its outputs and its share of the inputs and weights that come next: without it, waiting for memory adds about a
/// fifth to the time.
/// Each output is the sum, in ascending order, of one partial sum per block of columns, itself summed in ascending order.
/// Nothing else enters: not the thread count, not the place in a tile, not the alignment.
/// </remarks>
internal static unsafe partial class Gemm
{
    /// <summary>Columns of one block at most. A tile of inputs is then 29 KiB, which stays in L1 while panels pass.</summary>
    internal const int Depth = 512;

    /// <summary>Floats from one packed input to the next: an odd number of cache lines, so that the inputs of a tile fall into different L1 sets.</summary>
    internal const int InputStride = Depth + 16;

    // Inputs packed at a time: bounds the scratch memory, and is long enough to hide that the weights are read again.
    private const int BatchSlice = 1024;

    // A worker that loses its core holds up the others by one chunk at most.
    private const int ChunksPerThread = 8;

    // Weight rows of a chunk, whole panels: 128 make 256 KiB of panels, which stay in a 1 MiB L2; under 32, inputs are loaded too often.
    private const int MinBlockRows = 32;
    private const int MaxBlockRows = 128;

    /// <summary>
    /// Multiplies. Shapes as in the class summary; <paramref name="bias"/> is <c>[rows]</c> or null; <paramref name="accumulate"/>
    /// adds to <paramref name="output"/>. Any batch from 1; no argument may overlap the output. Uses the context's shared scratch.
    /// </summary>
    internal static void Multiply(KernelContext context, in WeightMatrix weights, float* input, float* output, int batch, float* bias, bool accumulate)
    {
        // Slices of equal size, so that the last one is not a sliver.
        int slices = (batch + BatchSlice - 1) / BatchSlice;
        for (int slice = 0; slice < slices; slice++)
        {
            int first = (int)((long)batch * slice / slices), count = (int)((long)batch * (slice + 1) / slices) - first;
            float* from = input + ((long)first * weights.Columns), to = output + ((long)first * weights.Rows);
            switch (context.Isa)
            {
                case Isa.Avx512:
                    Multiply<Avx512Path>(context, weights, from, to, count, bias, accumulate);
                    break;
                case Isa.Avx2:
                    Multiply<Avx2Path>(context, weights, from, to, count, bias, accumulate);
                    break;
                default:
                    Multiply<ScalarPath>(context, weights, from, to, count, bias, accumulate);
                    break;
            }
        }
    }

    private static void Multiply<TPath>(KernelContext context, in WeightMatrix weights, float* input, float* output, int batch, float* bias, bool accumulate)
        where TPath : IGemmPath
    {
        int wanted = ChunksPerThread * context.Threads;
        int rowsPerChunk = Math.Clamp(weights.Rows / wanted / TPath.PanelRows * TPath.PanelRows, MinBlockRows, MaxBlockRows);
        while (weights.Rows / rowsPerChunk >= WorkerPool.MaxChunks) rowsPerChunk *= 2;
        int rowChunks = ((weights.Rows - 1) / rowsPerChunk) + 1;

        // Few rows: cut the batch as well, but not so fine that packing a panel outweighs its use.
        int batchChunks = Math.Min((wanted + rowChunks - 1) / rowChunks, Math.Max(batch / 64, 1));

        // Blocks of equal depth, a multiple of what every path packs at a time.
        int blocks = ((weights.Columns - 1) / Depth) + 1;
        int depth = ((((weights.Columns - 1) / blocks) + 64) / 64) * 64;

        long inputBytes = (long)blocks * batch * InputStride * sizeof(float);
        long workerBytes = (((long)rowsPerChunk * depth) + (TPath.TileBatch * TPath.PanelRows)) * sizeof(float);
        byte* scratch = (byte*)context.SharedScratch(inputBytes + (workerBytes * context.Threads));
        PackInputJob pack = new()
        {
            Input = input,
            Packed = (float*)scratch,
            Batch = batch,
            Columns = weights.Columns,
            Blocks = blocks,
            Depth = depth,
            Chunks = Math.Min(batch, wanted),
        };
        context.Pool.Run(pack, pack.Chunks);
        MultiplyJob<TPath> multiply = new()
        {
            Weights = weights,
            Packed = (float*)scratch,
            Panels = scratch + inputBytes,
            WorkerBytes = workerBytes,
            Output = output,
            Bias = bias,
            Accumulate = accumulate,
            Batch = batch,
            Blocks = blocks,
            Depth = depth,
            RowsPerChunk = rowsPerChunk,
            RowChunks = rowChunks,
            BatchChunks = batchChunks,
        };
        context.Pool.Run(multiply, rowChunks * batchChunks);
    }

    /// <summary>A chunk is a rectangle of outputs: some rows, as panels, x some inputs, as tiles.</summary>
    private struct MultiplyJob<TPath> : IParallelJob
        where TPath : IGemmPath
    {
        public WeightMatrix Weights;
        public float* Packed;
        public byte* Panels;
        public long WorkerBytes;
        public float* Output;
        public float* Bias;
        public bool Accumulate;
        public int Batch;
        public int Blocks;
        public int Depth;
        public int RowsPerChunk;
        public int RowChunks;
        public int BatchChunks;

        public readonly void Execute(int chunk, int worker)
        {
            int part = chunk / RowChunks, firstRow = chunk % RowChunks * RowsPerChunk, rows = Math.Min(RowsPerChunk, Weights.Rows - firstRow);
            int firstInput = (int)((long)Batch * part / BatchChunks), inputs = (int)((long)Batch * (part + 1) / BatchChunks) - firstInput;
            float* panels = (float*)(Panels + (WorkerBytes * worker));
            for (int block = 0; block < Blocks; block++)
            {
                for (int row = 0; row < rows; row += TPath.PanelRows)
                    TPath.Pack(new PanelSource(Weights, firstRow + row, TPath.PanelRows, block * Depth, Depth), panels + (row * Depth));

                // What this worker packs next: the same rows further on, or, most likely, the next chunk.
                bool last = block == Blocks - 1;
                PanelSource next = new(Weights, firstRow + (last ? rows : 0), RowsPerChunk, last ? 0 : (block + 1) * Depth, Depth);
                MultiplyBlock(panels, firstRow, rows, block, firstInput, inputs, next);
            }
        }

        private readonly void MultiplyBlock(float* panels, int firstRow, int rows, int block, int firstInput, int inputs, in PanelSource next)
        {
            float* packed = Packed + ((((long)block * Batch) + firstInput) * InputStride);
            int tiles = (inputs + TPath.TileBatch - 1) / TPath.TileBatch, count = (rows + TPath.PanelRows - 1) / TPath.PanelRows;
            int nextRow = 0, nextRows = (next.Rows + (tiles * count) - 1) / (tiles * count);
            for (int index = 0; index < tiles; index++)
            {
                int from = (int)((long)inputs * index / tiles), height = (int)((long)inputs * (index + 1) / tiles) - from;
                int nextInput = height, nextInputs = (height + count - 1) / count;
                float* input = packed + ((long)from * InputStride), output = Output + ((long)(firstInput + from) * Weights.Rows) + firstRow;
                for (int row = 0; row < rows; row += TPath.PanelRows)
                {
                    GemmTile tile = new()
                    {
                        Input = input,
                        Panel = panels + (row * Depth),
                        Depth = Math.Min(Depth, Weights.Columns - (block * Depth)),
                        Output = output + row,
                        OutputStride = Weights.Rows,
                        Bias = block == 0 && Bias != null ? Bias + firstRow + row : null,
                        Add = block != 0 || Accumulate,
                        NextInput = input + ((long)nextInput * InputStride),
                        NextInputs = Math.Min(nextInputs, (2 * height) - nextInput),
                        NextWeights = next.Data + (nextRow * next.Stride),
                        NextStride = next.Stride,
                        NextRows = Math.Min(nextRows, next.Rows - nextRow),
                        NextSize = next.Type.Size(),
                    };
                    (nextInput, nextRow) = (nextInput + tile.NextInputs, nextRow + tile.NextRows);
                    if (rows - row >= TPath.PanelRows) TPath.Multiply(tile, height);
                    else MultiplyEdge(tile, height, rows - row, panels + (RowsPerChunk * Depth));
                }
            }
        }

        /// <summary>Multiplies by a panel of which only <paramref name="rows"/> are there, by way of a whole tile of outputs.</summary>
        private static void MultiplyEdge(in GemmTile tile, int count, int rows, float* whole)
        {
            TPath.Multiply(new GemmTile { Input = tile.Input, Panel = tile.Panel, Depth = tile.Depth, Output = whole, OutputStride = TPath.PanelRows }, count);
            for (int input = 0; input < count; input++)
            {
                for (int row = 0; row < rows; row++)
                {
                    float value = whole[(input * TPath.PanelRows) + row] + (tile.Bias == null ? 0 : tile.Bias[row]);
                    float* to = tile.Output + (input * tile.OutputStride) + row;
                    *to = tile.Add ? value + *to : value;
                }
            }
        }
    }
}
