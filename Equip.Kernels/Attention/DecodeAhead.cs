using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Equip.Kernels.Memory;

namespace Equip.Kernels.Attention;

/// <summary>
/// Fetches the rows of a block into cache while another block is computed: four places of it in turns, each from its first byte to
/// its last. Memory answers several such streams at once much faster than one, or than scattered lines of the same rows. The
/// lines are listed beforehand, so that fetching the next one costs three instructions and can be spread evenly over the
/// computation: a processor that is asked for many lines at once makes its other loads wait.
/// </summary>
internal readonly unsafe struct DecodeAhead
{
    /// <summary>Streams at a time.</summary>
    public const int Lanes = 4;

    /// <summary>Room that the list of a block needs.</summary>
    public const int Capacity = (DecodeRows.BlockBytes / ReadAhead.Line) + Slack;

    // Lines of the longest rows that are computed between two looks at the end of the list.
    private const int Slack = 4 * AttentionShape.MaxHeadDim * sizeof(float) / ReadAhead.Line;

    private readonly long* _end;

    /// <summary>Lists the lines of the first <paramref name="count"/> <paramref name="rows"/> into <paramref name="list"/>; of a block that is not full the pad as well.</summary>
    public DecodeAhead(long* rows, int count, int rowBytes, long* list)
    {
        First = list;
        int lane = (count + Lanes - 1) / Lanes, step = 1;
        if (lane > 0 && EndToEnd(rows, lane, rowBytes) && EndToEnd(rows + lane, lane, rowBytes) && EndToEnd(rows + (2 * lane), lane, rowBytes) && EndToEnd(rows + (3 * lane), lane, rowBytes))
        {
            rowBytes *= lane;
            step = lane;
        }

        Vector256<long> four = Vector256.Create((long)list), line = Vector256.Create((long)ReadAhead.Line);
        for (int row = 0; row < lane; row += step)
        {
            four = Vector256.Create(rows[row], rows[lane + row], rows[(2 * lane) + row], rows[(3 * lane) + row]);
            int i = 0;
            for (; i + (2 * ReadAhead.Line) <= rowBytes; i += 2 * ReadAhead.Line, list += 2 * Lanes)
            {
                four.Store(list);
                (four + line).Store(list + Lanes);
                four += line + line;
            }

            for (; i < rowBytes; i += ReadAhead.Line, list += Lanes, four += line) four.Store(list);
        }

        // Whoever computes more than is listed fetches the lines after the last.
        _end = list;
        for (int i = 0; i < Slack; i += Lanes) four.Store(list + i);
    }

    /// <summary>The list.</summary>
    public long* First { get; }

    /// <summary>Where to go on after <paramref name="next"/>, with enough of the list left for the lines of four rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public long* Clamp(long* next) => next < _end ? next : _end;

    /// <summary>Fetches the next <paramref name="lines"/> of the list, a constant up to 8.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Fetch(ref long* next, int lines)
    {
        ReadAhead.Fetch((byte*)next[0]);
        if (lines > 1) ReadAhead.Fetch((byte*)next[1]);
        if (lines > 2) ReadAhead.Fetch((byte*)next[2]);
        if (lines > 3) ReadAhead.Fetch((byte*)next[3]);
        if (lines > 4) ReadAhead.Fetch((byte*)next[4]);
        if (lines > 5) ReadAhead.Fetch((byte*)next[5]);
        if (lines > 6) ReadAhead.Fetch((byte*)next[6]);
        if (lines > 7) ReadAhead.Fetch((byte*)next[7]);
        next += lines;
    }

    // Whether the rows of a lane are one stretch of memory, which is listed faster.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool EndToEnd(long* rows, int lane, int rowBytes) => rows[lane - 1] - rows[0] == (lane - 1L) * rowBytes;
}
