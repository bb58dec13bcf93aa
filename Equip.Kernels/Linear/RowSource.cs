using Equip.Kernels.Dispatch;
using Equip.Kernels.Memory;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Linear;

/// <summary>The rows that a job multiplies, all of a matrix or a list of them, and how they are cut into chunks.</summary>
internal readonly unsafe struct RowSource
{
    /// <summary>Most bytes of weights in a chunk, about: a few us of work, hundreds of times the price of claiming a chunk.</summary>
    private const int ChunkBytes = 128 << 10;

    // A small matrix is cut into so many at least, for as many threads.
    private const int LeastChunks = 16;
    private const int LeastChunkBytes = 32 << 10;

    // Read-ahead turns to the next rows at a multiple of this many columns, which the steps of all kernels divide.
    private const int SplitColumns = 64;

    private readonly byte* _data;
    private readonly ushort* _scales;
    private readonly int* _list;
    private readonly int _size;

    /// <param name="weights">The matrix.</param>
    /// <param name="list">Rows to take, or null for all.</param>
    /// <param name="count">Length of <paramref name="list"/>, or the rows of the matrix.</param>
    public RowSource(in WeightMatrix weights, int* list, int count)
    {
        _data = (byte*)weights.Data;
        _scales = (ushort*)weights.Scales;
        _list = list;
        _size = weights.Type.Size();
        Count = count;
        Columns = weights.Columns;
        long rowBytes = (long)Columns * _size, chunkBytes = Math.Clamp(count * rowBytes / LeastChunks, LeastChunkBytes, ChunkBytes);
        long rows = Math.Max(chunkBytes / rowBytes, count / WorkerPool.MaxChunks);
        ChunkRows = (rows + RowGroup.Rows) / RowGroup.Rows * RowGroup.Rows;
    }

    public int Count { get; }

    public int Columns { get; }

    /// <summary>Rows of a chunk, a multiple of <see cref="RowGroup.Rows"/>.</summary>
    public long ChunkRows { get; }

    public int Chunks => (int)((Count + ChunkRows - 1) / ChunkRows);

    /// <summary>The <paramref name="index"/>-th row; behind the last one, the last one.</summary>
    public byte* Row(long index) => _data + (RowNumber(index) * Columns * _size);

    /// <summary>The rows of a chunk.</summary>
    public RowRange Range(int chunk) => new(chunk * ChunkRows, Math.Min((chunk + 1) * ChunkRows, Count));

    /// <summary>Row <paramref name="index"/> and those one, two and three <paramref name="quarter"/>s on, from <paramref name="column"/> on. Where a range ends before, rows of the next stand in, and behind the last row that one.</summary>
    public RowGroup Group(long index, long quarter, nint column)
    {
        nint offset = column * _size;
        RowGroup group = new() { Row0 = Row(index) + offset, Row1 = Row(index + quarter) + offset, Row2 = Row(index + (2 * quarter)) + offset, Row3 = Row(index + (3 * quarter)) + offset };
        if (_scales == null) return group;
        nint block = column / WeightMatrix.BlockSize;
        group.Scales0 = Scales(index, block);
        group.Scales1 = Scales(index + quarter, block);
        group.Scales2 = Scales(index + (2 * quarter), block);
        group.Scales3 = Scales(index + (3 * quarter), block);
        return group;
    }

    /// <summary>Sets <paramref name="group"/> to read ahead in its own rows and, near their ends, at the start of the next four.</summary>
    /// <param name="group">The rows.</param>
    /// <param name="columns">Columns that will be multiplied.</param>
    /// <param name="next">The first of the next four rows.</param>
    /// <param name="quarter">From each of them to the one after.</param>
    /// <param name="nextColumn">Where they start.</param>
    public void StreamAhead(ref RowGroup group, nint columns, long next, long quarter, nint nextColumn)
    {
        int ahead = ReadAhead.Bytes;
        group.Split = Math.Max(0, columns - (ahead / _size)) / SplitColumns * SplitColumns;
        group.Ahead0 = group.Row0 + ahead;
        group.Ahead1 = group.Row1 + ahead;
        group.Ahead2 = group.Row2 + ahead;
        group.Ahead3 = group.Row3 + ahead;
        RowGroup after = Group(next, quarter, nextColumn);
        nint offset = group.Split * _size;
        group.Next0 = after.Row0 - offset;
        group.Next1 = after.Row1 - offset;
        group.Next2 = after.Row2 - offset;
        group.Next3 = after.Row3 - offset;
        group.NextScales0 = after.Scales0;
        group.NextScales1 = after.Scales1;
        group.NextScales2 = after.Scales2;
        group.NextScales3 = after.Scales3;
    }

    private ushort* Scales(long index, nint block) => _scales + (RowNumber(index) * (Columns / WeightMatrix.BlockSize)) + block;

    private long RowNumber(long index)
    {
        index = Math.Min(index, Count - 1);
        return _list == null ? index : _list[index];
    }
}
