using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Kernels.Memory;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;

namespace Equip.Model.Pruning;

/// <summary>
/// What channel pruning needs of a feed-forward block besides its weights. The down projection is stored a second time,
/// transposed, so that a channel is one contiguous row: a third of the block's bytes, written once, when a sequence first asks for
/// pruning. (The prompt still multiplies by the original.) Where the weights are q8 the transposed copy is f16: the scales of q8
/// run along rows, and its sums of rows are not built.
/// </summary>
internal sealed unsafe class ChannelWeights : IDisposable
{
    private readonly List<NativeBuffer> _buffers = [];

    private ChannelWeights(KernelContext context, FeedForwardWeights block)
    {
        DataType type = block.Down.Type == DataType.Q8 ? DataType.F16 : block.Down.Type;
        NativeBuffer transposed = new((long)block.Down.Rows * block.Down.Columns * type.Size());
        _buffers.Add(transposed);
        DownTransposed = new WeightMatrix(transposed.Pointer, type, block.Down.Columns, block.Down.Rows);
        DownNorms = new float[block.Channels];
        UpNorms = new float[block.Channels];
        fixed (float* down = DownNorms, up = UpNorms)
        {
            TransposeJob transpose = new() { Isa = context.Isa, Source = block.Down, Destination = DownTransposed };
            context.Pool.Run(in transpose, transpose.Chunks);
            NormJob norms = new() { Isa = context.Isa, Down = DownTransposed, Up = block.Up, DownNorms = down, UpNorms = up };
            context.Pool.Run(in norms, Math.Min(block.Channels, WorkerPool.MaxChunks));
        }
    }

    /// <summary>The down projection <c>[channels, hidden]</c>: f32, f16 or bf16.</summary>
    public WeightMatrix DownTransposed { get; }

    /// <summary>The sum of the magnitudes of each channel's column of down, <c>[channels]</c>.</summary>
    public float[] DownNorms { get; }

    /// <summary>The Euclidean norm of each channel's row of up, <c>[channels]</c>.</summary>
    public float[] UpNorms { get; }

    /// <summary>The gate projection in q8, once asked for.</summary>
    public WeightMatrix Int8Gate { get; private set; }

    /// <summary>The up projection in q8, once asked for.</summary>
    public WeightMatrix Int8Up { get; private set; }

    /// <summary>Those of a block; made at the first call.</summary>
    /// <param name="context">Threads.</param>
    /// <param name="block">The block, which keeps them.</param>
    /// <param name="int8">Whether the q8 copies are wanted.</param>
    /// <exception cref="ArgumentException">q8 copies are wanted of a width that has none.</exception>
    public static ChannelWeights Of(KernelContext context, FeedForwardWeights block, bool int8)
    {
        if (int8 && block.Gate.Columns % WeightMatrix.BlockSize != 0)
            throw new ArgumentException($"channels: int8-first needs a hidden size that is a multiple of {WeightMatrix.BlockSize}, got {block.Gate.Columns}");
        ChannelWeights weights = block.ForPruning ??= new ChannelWeights(context, block);
        if (int8 && weights.Int8Gate.Data == null)
        {
            weights.Int8Gate = weights.Quantized(context, block.Gate);
            weights.Int8Up = weights.Quantized(context, block.Up);
        }

        return weights;
    }

    public void Dispose()
    {
        foreach (NativeBuffer buffer in _buffers) buffer.Dispose();
    }

    private WeightMatrix Quantized(KernelContext context, in WeightMatrix matrix)
        => matrix.Type == DataType.Q8 ? matrix : WeightConversion.Convert(context, matrix, DataType.Q8, _buffers);

    /// <summary>Part of a row as float32.</summary>
    private static void Widen(Isa isa, in WeightMatrix matrix, int row, Span<float> values)
    {
        if (matrix.Type == DataType.Q8) Quantization.DequantizeRow(matrix, row, values);
        else Conversion.Widen(isa, (byte*)matrix.Data + ((long)row * matrix.Columns * matrix.Type.Size()), matrix.Type, values);
    }

    /// <summary>A chunk transposes a strip of rows of the source; elements move as they are, unless they are q8.</summary>
    private struct TransposeJob : IParallelJob
    {
        // Rows of a strip: their elements of one column fill a cache line of the destination.
        private const int StripRows = 32;

        public Isa Isa;
        public WeightMatrix Source, Destination;

        public readonly int Chunks => Math.Min((Source.Rows + StripRows - 1) / StripRows, WorkerPool.MaxChunks);

        public readonly void Execute(int chunk, int worker)
        {
            for (int first = chunk * StripRows; first < Source.Rows; first += Chunks * StripRows)
            {
                int end = Math.Min(first + StripRows, Source.Rows);
                if (Source.Type == DataType.Q8) Dequantize(first, end);
                else if (Source.Type == DataType.F32) Move<uint>(first, end);
                else Move<ushort>(first, end);
            }
        }

        private readonly void Move<T>(int first, int end)
            where T : unmanaged
        {
            T* source = (T*)Source.Data, destination = (T*)Destination.Data;
            long columns = Source.Columns, rows = Source.Rows;
            for (long column = 0; column < columns; column++)
                for (long row = first; row < end; row++) destination[(column * rows) + row] = source[(row * columns) + column];
        }

        private readonly void Dequantize(int first, int end)
        {
            float[] values = new float[Source.Columns];
            Half* destination = (Half*)Destination.Data;
            for (int row = first; row < end; row++)
            {
                Quantization.DequantizeRow(Source, row, values);
                for (long column = 0; column < values.Length; column++) destination[(column * Source.Rows) + row] = (Half)values[column];
            }
        }
    }

    private struct NormJob : IParallelJob
    {
        public Isa Isa;
        public WeightMatrix Down, Up;
        public float* DownNorms, UpNorms;

        public readonly void Execute(int chunk, int worker)
        {
            float[] values = new float[Math.Max(Down.Columns, Up.Columns)];
            for (int channel = chunk; channel < Down.Rows; channel += WorkerPool.MaxChunks)
            {
                double sum = 0, squares = 0;
                Widen(Isa, Down, channel, values.AsSpan(0, Down.Columns));
                foreach (float value in values.AsSpan(0, Down.Columns)) sum += Math.Abs(value);
                Widen(Isa, Up, channel, values.AsSpan(0, Up.Columns));
                foreach (float value in values.AsSpan(0, Up.Columns)) squares += (double)value * value;
                DownNorms[channel] = (float)sum;
                UpNorms[channel] = (float)Math.Sqrt(squares);
            }
        }
    }
}
