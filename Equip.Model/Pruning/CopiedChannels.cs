using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Kernels.Memory;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;

namespace Equip.Model.Pruning;

/// <summary>
/// The channels of a feed-forward block that one sequence computes, copied so that they lie end to end: rows that are picked out of a matrix
/// are read more slowly than a whole one (Zen 3, rows of 4 KB: four fifths of the speed). Costs their bytes for as long as the choice holds, and
/// reading and writing them once; the memory comes from a pool and goes back to it.
/// </summary>
internal sealed unsafe class CopiedChannels : IDisposable
{
    private readonly BufferPool _pool;
    private readonly List<NativeBuffer> _buffers = [];

    public CopiedChannels(KernelContext context, BufferPool pool, FeedForwardWeights block, ChannelWeights weights, int[] channels)
    {
        _pool = pool;
        Gate = Copy(context, block.Gate, channels);
        Up = Copy(context, block.Up, channels);
        Down = Copy(context, weights.DownTransposed, channels);
        GateBias = Copy(block.GateBias, channels);
        UpBias = Copy(block.UpBias, channels);
    }

    /// <summary><c>[channels, hidden]</c>.</summary>
    public WeightMatrix Gate { get; }

    /// <summary><c>[channels, hidden]</c>.</summary>
    public WeightMatrix Up { get; }

    /// <summary>The down projection, transposed: <c>[channels, hidden]</c>.</summary>
    public WeightMatrix Down { get; }

    /// <summary>Of these channels, or null.</summary>
    public float[]? GateBias { get; }

    /// <summary>Of these channels, or null.</summary>
    public float[]? UpBias { get; }

    public void Dispose()
    {
        foreach (NativeBuffer buffer in _buffers) _pool.Return(buffer);
        _buffers.Clear();
    }

    private static float[]? Copy(float[]? bias, int[] channels) => bias is null ? null : Array.ConvertAll(channels, channel => bias[channel]);

    private WeightMatrix Copy(KernelContext context, in WeightMatrix matrix, int[] channels)
    {
        byte* data = CopyRows(context, matrix.Data, (long)matrix.Columns * matrix.Type.Size(), channels);
        void* scales = matrix.Type == DataType.Q8 ? CopyRows(context, matrix.Scales, (long)matrix.Columns / WeightMatrix.BlockSize * sizeof(ushort), channels) : null;
        return new WeightMatrix(data, matrix.Type, channels.Length, matrix.Columns, scales);
    }

    private byte* CopyRows(KernelContext context, void* source, long rowBytes, int[] channels)
    {
        NativeBuffer buffer = _pool.Rent(channels.Length * rowBytes);
        _buffers.Add(buffer);
        fixed (int* rows = channels)
        {
            CopyJob job = new() { Rows = rows, Count = channels.Length, RowBytes = rowBytes, Source = (byte*)source, Destination = (byte*)buffer.Pointer };
            context.Pool.Run(in job, job.Chunks);
        }

        return (byte*)buffer.Pointer;
    }

    private struct CopyJob : IParallelJob
    {
        private const int ChunkRows = 64;

        public int* Rows;
        public int Count;
        public long RowBytes;
        public byte* Source, Destination;

        public readonly int Chunks => (Count + ChunkRows - 1) / ChunkRows;

        public readonly void Execute(int chunk, int worker)
        {
            for (int i = chunk * ChunkRows; i < Math.Min((chunk + 1) * ChunkRows, Count); i++)
                Buffer.MemoryCopy(Source + (Rows[i] * RowBytes), Destination + (i * RowBytes), RowBytes, RowBytes);
        }
    }
}
