using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Equip.Kernels.Attention;

/// <summary>
/// Fetches the rows of a block into cache while another block is computed: four places of it in turns, each from its first
/// byte to its last. Memory answers several such streams at once much faster than one, or than scattered lines of the same rows.
/// </summary>
internal unsafe struct DecodeAhead
{
    /// <summary>Streams at a time.</summary>
    public const int Lanes = 4;

    private const int Line = 64;

    private readonly int _rowBytes, _lane;
    private byte** _rows;
    private int _left, _offset, _owed;

    /// <summary>Starts with the first rows of <paramref name="count"/>; of a block that is not full the pad is fetched as well.</summary>
    public DecodeAhead(long* rows, int count, int rowBytes)
    {
        _rows = (byte**)rows;
        _rowBytes = rowBytes;
        _lane = _left = (count + Lanes - 1) / Lanes;
    }

    /// <summary>Fetches as many bytes as are about to be read, while rows are left.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Fetch(int bytes)
    {
        for (_owed += bytes; _owed >= Lanes * Line && _left > 0; _owed -= Lanes * Line)
        {
            Sse.Prefetch0(_rows[0] + _offset);
            Sse.Prefetch0(_rows[_lane] + _offset);
            Sse.Prefetch0(_rows[2 * _lane] + _offset);
            Sse.Prefetch0(_rows[3 * _lane] + _offset);
            _offset += Line;
            if (_offset < _rowBytes) continue;
            _offset = 0;
            _rows++;
            _left--;
        }
    }
}
