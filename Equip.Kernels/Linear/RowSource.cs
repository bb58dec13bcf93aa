using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Linear;

/// <summary>The rows that a job multiplies, all of a matrix or a list of them, and how they are cut into chunks.</summary>
internal readonly unsafe struct RowSource
{
    /// <summary>Bytes of weights in a chunk, about: a few us of work, hundreds of times the price of claiming a chunk.</summary>
    private const int ChunkBytes = 64 << 10;

    /// <summary>How far ahead of the arithmetic memory is read, in bytes of each of the four rows.</summary>
    private const int AheadBytes = 2048;

    // Read-ahead turns to the next rows at a multiple of this many columns, which the steps of all kernels divide.
    private const int SplitColumns = 256;

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
        long rows = Math.Max(ChunkBytes / ((long)Columns * _size), count / WorkerPool.MaxChunks);
        ChunkRows = (rows + RowGroup.Rows) / RowGroup.Rows * RowGroup.Rows;
    }

    public int Count { get; }

    public int Columns { get; }

    /// <summary>Rows of a chunk, a multiple of <see cref="RowGroup.Rows"/>.</summary>
    public long ChunkRows { get; }

    public int Chunks => (int)((Count + ChunkRows - 1) / ChunkRows);

    /// <summary>The <paramref name="index"/>-th row; behind the last one, the last one.</summary>
    public byte* Row(long index) => _data + (RowNumber(index) * Columns * _size);

    /// <summary>Four rows from <paramref name="index"/> on, from <paramref name="column"/> on; the last row stands in for missing ones.</summary>
    public RowGroup Group(long index, nint column)
    {
        nint offset = column * _size;
        RowGroup group = new() { Row0 = Row(index) + offset, Row1 = Row(index + 1) + offset, Row2 = Row(index + 2) + offset, Row3 = Row(index + 3) + offset };
        if (_scales == null) return group;
        nint block = column / WeightMatrix.BlockSize;
        group.Scales0 = Scales(index, block);
        group.Scales1 = Scales(index + 1, block);
        group.Scales2 = Scales(index + 2, block);
        group.Scales3 = Scales(index + 3, block);
        return group;
    }

    /// <summary>Sets <paramref name="group"/> to read ahead in its own rows and, near their ends, at the start of the next four.</summary>
    /// <param name="group">The rows.</param>
    /// <param name="columns">Columns that will be multiplied.</param>
    /// <param name="next">The first of the next four rows.</param>
    /// <param name="nextColumn">Where they start.</param>
    public void StreamAhead(ref RowGroup group, nint columns, long next, nint nextColumn)
    {
        group.Split = Math.Max(0, columns - (AheadBytes / _size)) / SplitColumns * SplitColumns;
        group.Ahead0 = group.Row0 + AheadBytes;
        group.Ahead1 = group.Row1 + AheadBytes;
        group.Ahead2 = group.Row2 + AheadBytes;
        group.Ahead3 = group.Row3 + AheadBytes;
        nint offset = (nextColumn - group.Split) * _size;
        group.Next0 = Row(next) + offset;
        group.Next1 = Row(next + 1) + offset;
        group.Next2 = Row(next + 2) + offset;
        group.Next3 = Row(next + 3) + offset;
        if (_scales == null) return;
        nint block = nextColumn / WeightMatrix.BlockSize;
        group.NextScales0 = Scales(next, block);
        group.NextScales1 = Scales(next + 1, block);
        group.NextScales2 = Scales(next + 2, block);
        group.NextScales3 = Scales(next + 3, block);
    }

    private ushort* Scales(long index, nint block) => _scales + (RowNumber(index) * (Columns / WeightMatrix.BlockSize)) + block;

    private long RowNumber(long index)
    {
        index = Math.Min(index, Count - 1);
        return _list == null ? index : _list[index];
    }
}
