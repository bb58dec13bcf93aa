namespace Equip.Kernels.Linear;

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
