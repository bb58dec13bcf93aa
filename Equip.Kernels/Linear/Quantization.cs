using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Linear;

/// <summary>
/// Weights to <see cref="DataType.Q8"/> and back. A block of 32 along a row shares one scale, its largest magnitude / 127 rounded to
/// binary16 (upwards where a subnormal scale would clip); a weight is its quotient by the scale, rounded to nearest even.
/// </summary>
/// <remarks>
/// A product of one to sixteen inputs with Q8 weights rounds its inputs too, to 8 bits in blocks of 32 with a float32 scale.
/// On normally distributed data each of the two roundings changes y by 0.52 % of its root mean square, both together by 0.74 %.
/// </remarks>
public static class Quantization
{
    /// <summary>Quantises a matrix. Every path gives the same bits.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="source"><c>[rows, columns]</c>, f32, f16 or bf16.</param>
    /// <param name="destination">
    /// <c>[rows, columns]</c>, Q8: its integers and scales are written. A block with a value that is not finite, or one over 65504 * 127, gets
    /// the scale NaN, so that the fault shows.
    /// </param>
    /// <exception cref="ArgumentException">Shapes or types do not fit.</exception>
    public static void QuantizeQ8(KernelContext context, in WeightMatrix source, in WeightMatrix destination)
    {
        ArgumentNullException.ThrowIfNull(context);
        RequireType(source, false, nameof(source));
        RequireType(destination, true, nameof(destination));
        if (source.Rows != destination.Rows || source.Columns != destination.Columns)
            throw new ArgumentException($"destination: got [{destination.Rows}, {destination.Columns}], expected [{source.Rows}, {source.Columns}]", nameof(destination));
        Call call = new() { Context = context, Source = source, Destination = destination };
        LinearPath.Run(context.Isa, source.Type, ref call);
    }

    /// <summary>One row of a Q8 matrix as float32.</summary>
    /// <param name="weights">Q8.</param>
    /// <param name="row">In [0, rows).</param>
    /// <param name="destination"><c>[columns]</c>.</param>
    /// <exception cref="ArgumentException">The type is not Q8, or a length or number does not fit.</exception>
    public static unsafe void DequantizeRow(in WeightMatrix weights, int row, Span<float> destination)
    {
        RequireType(weights, true, nameof(weights));
        Require.InRange(row, 0, weights.Rows - 1);
        Require.AtLeast(destination.Length, weights.Columns, nameof(destination));
        sbyte* integers = (sbyte*)weights.Data + ((long)row * weights.Columns);
        ushort* scales = (ushort*)weights.Scales + ((long)row * (weights.Columns / WeightMatrix.BlockSize));
        for (int block = 0; block < weights.Columns / WeightMatrix.BlockSize; block++)
        {
            float scale = F16Weights.Widen(scales[block]);
            for (int i = block * WeightMatrix.BlockSize; i < (block + 1) * WeightMatrix.BlockSize; i++) destination[i] = integers[i] * scale;
        }
    }

    private static unsafe void RequireType(in WeightMatrix matrix, bool quantized, string name)
    {
        Require.NotNull(matrix.Data, name);
        if ((matrix.Type == DataType.Q8) != quantized)
            throw new ArgumentException($"{name}: got {matrix.Type.Name()}, expected {(quantized ? "q8" : "f32, f16 or bf16")}", name);
    }

    private struct Call : ILinearCall
    {
        public KernelContext Context;
        public WeightMatrix Source, Destination;

        public readonly void Run<TLanes, TVector, TWeights>()
            where TLanes : struct, ILinearLanes<TVector>
            where TVector : unmanaged
            where TWeights : struct, IStoredWeights
        {
            long rows = Math.Max(1, (64 << 10) / ((long)Source.Columns * TWeights.Size));
            rows = Math.Max(rows, (Source.Rows / WorkerPool.MaxChunks) + 1);
            Job<TLanes, TVector, TWeights> job = new() { Source = Source, Destination = Destination, ChunkRows = rows };
            Context.Pool.Run(in job, (int)((Source.Rows + rows - 1) / rows));
        }
    }

    private unsafe struct Job<TLanes, TVector, TWeights> : IParallelJob
        where TLanes : struct, ILinearLanes<TVector>
        where TVector : unmanaged
        where TWeights : struct, IStoredWeights
    {
        private const int Block = WeightMatrix.BlockSize;

        public WeightMatrix Source, Destination;
        public long ChunkRows;

        public readonly void Execute(int chunk, int worker)
        {
            float* values = stackalloc float[Block];
            long blocks = Source.Columns / Block, end = Math.Min((chunk + 1) * ChunkRows, Source.Rows);
            for (long block = chunk * ChunkRows * blocks; block < end * blocks; block++)
            {
                Widen((byte*)Source.Data + (block * Block * TWeights.Size), values);
                int largest = TLanes.Width > 1 ? Avx2Bytes.Largest(values) : ScalarBytes.Largest(values);
                float inverse = Scale(BitConverter.Int32BitsToSingle(largest), out ((Half*)Destination.Scales)[block]);
                sbyte* integers = (sbyte*)Destination.Data + (block * Block);
                _ = TLanes.Width > 1 ? Avx2Bytes.Round(values, inverse, integers) : ScalarBytes.Round(values, inverse, integers);
            }
        }

        private static void Widen(byte* block, float* values)
        {
            TVector lift = TLanes.Broadcast(TWeights.Lift * TWeights.Lift);
            for (nint i = 0; i < Block; i += 2 * TLanes.Width)
            {
                TWeights.Load<TLanes, TVector>(block, i, out TVector first, out TVector second);
                first = TLanes.Multiply(first, lift);
                second = TLanes.Multiply(second, lift);
                if (TWeights.Splits)
                {
                    TLanes.Merge(first, second, values + i);
                }
                else
                {
                    TLanes.Store(values + i, first);
                    TLanes.Store(values + i + TLanes.Width, second);
                }
            }
        }

        // The inverse of the scale, or 0 for a block of zeros and one that cannot be represented.
        private static float Scale(float largest, out Half scale)
        {
            scale = (Half)(largest / 127);
            if (largest == 0) return 0;
            if (!Half.IsFinite(scale))
            {
                scale = Half.NaN;
                return 0;
            }

            // A subnormal scale may be rounded down far enough to clip the largest weights.
            if (largest > 127.5f * (float)scale) scale = Half.BitIncrement(scale);
            return 1 / (float)scale;
        }
    }
}
