namespace Equip.Kernels.Linear;

/// <summary>
/// Rows [First, End), multiplied four at a time: one from each quarter, so that memory is read at four distant places, each of which goes on
/// without a break from row to row. Four neighbours would be a single stream of which every row is a short piece.
/// </summary>
internal readonly struct RowRange(long first, long end)
{
    public readonly long First = first, End = end, Quarter = (end - first + RowGroup.Rows - 1) / RowGroup.Rows;

    /// <summary>Where the first row of a group ends; group g is rows First + g + i Quarter.</summary>
    public long FirstQuarterEnd => First + Quarter;

    /// <summary>Rows of the group that starts at <paramref name="row"/>: the last quarter may be shorter.</summary>
    public int Count(long row) => (int)Math.Min(RowGroup.Rows, (End - row + Quarter - 1) / Quarter);

    /// <summary>The first row of the group after the one that starts at <paramref name="row"/>, at last of the range that follows.</summary>
    public long After(long row) => row + 1 < FirstQuarterEnd ? row + 1 : End;
}

/// <summary>Four rows to multiply, and what to prefetch meanwhile.</summary>
internal unsafe struct RowGroup
{
    /// <summary>Rows in a group: one stream of weights alone does not keep the memory busy.</summary>
    public const int Rows = 4;

    public byte* Row0, Row1, Row2, Row3;

    /// <summary>Q8: the binary16 scales of the rows.</summary>
    public ushort* Scales0, Scales1, Scales2, Scales3;

    /// <summary>Q8: the scales that are read after these rows' own.</summary>
    public ushort* NextScales0, NextScales1, NextScales2, NextScales3;

    /// <summary>Where memory is read ahead while the first <see cref="Split"/> columns are multiplied: column c fetches c elements on.</summary>
    public byte* Ahead0, Ahead1, Ahead2, Ahead3;

    /// <summary>The same for the columns from <see cref="Split"/> on, still counted from column 0.</summary>
    public byte* Next0, Next1, Next2, Next3;

    public nint Split;
}

/// <summary>None; the other numbers stand with the gemm.</summary>
internal readonly struct Count0 : ICount
{
    public static int Value => 0;
}
