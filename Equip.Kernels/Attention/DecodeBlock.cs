using System.Runtime.Intrinsics;

namespace Equip.Kernels.Attention;

/// <summary>
/// The rows that one step of the online softmax takes, wherever they lie: pages, short runs, several places of a long run.
/// Kernels find each row by pointer.
/// </summary>
internal unsafe struct DecodeBlock
{
    /// <summary>Most rows of a block.</summary>
    public const int Capacity = 64;

    // Pointers are written this many at a time.
    private const int Width = 4;

    /// <summary>K rows, then V rows. Entries from <see cref="Count"/> on may be prefetched as far as <see cref="Pad"/> goes, nothing else.</summary>
    public fixed long Keys[Capacity + Width], Values[Capacity + Width];

    /// <summary>Per row: the rotation of a K row that is rotated on reading, or -1; if wanted.</summary>
    public fixed int Ranks[Capacity];

    /// <summary>Per piece (consecutive rows of one run): its queries.</summary>
    public fixed long PieceQueries[Capacity];

    /// <summary>Per piece: its first row, counted from the start of the part.</summary>
    public fixed long PieceRow[Capacity];

    /// <summary>Per piece: its first place in the block; one more for the end.</summary>
    public fixed int PieceFirst[Capacity + 1];

    /// <summary>Pieces.</summary>
    public int Pieces;

    /// <summary>Rows.</summary>
    public int Count;

    /// <summary>Empties the block.</summary>
    public void Clear() => Count = Pieces = PieceFirst[0] = 0;

    /// <summary>Appends <paramref name="count"/> rows of <paramref name="run"/> from <paramref name="row"/>.</summary>
    public void Add(AttentionRun* run, long row, int count, int rowBytes, long partRow, bool ranks)
    {
        Vector256<long> first = Vector256.Create(0L, 1L, 2L, 3L) * rowBytes, step = Vector256.Create((long)Width * rowBytes);
        Vector256<long> key = Vector256.Create((long)run->Keys + (row * rowBytes)) + first, value = Vector256.Create((long)run->Values + (row * rowBytes)) + first;
        fixed (long* keys = Keys, values = Values)
        {
            for (int i = Count; i < Count + count; i += Width, key += step, value += step)
            {
                key.Store(keys + i);
                value.Store(values + i);
            }
        }

        for (int i = 0; ranks && i < count; i++) Ranks[Count + i] = run->Ranks == null ? -1 : run->Ranks[row + i];
        PieceQueries[Pieces] = (long)run->Queries;
        PieceRow[Pieces] = partRow;
        Count += count;
        PieceFirst[++Pieces] = Count;
    }

    /// <summary>Gives the unused entries that are prefetched the address of the last row: the lanes of <see cref="DecodeAhead"/> are equally long.</summary>
    public void Pad()
    {
        for (int i = Count; i % DecodeAhead.Lanes != 0; i++)
        {
            Keys[i] = Keys[i - 1];
            Values[i] = Values[i - 1];
        }
    }
}
