namespace Equip.Kernels.Attention;

/// <summary>Walks the rows of a part and packs them into blocks, across runs.</summary>
internal unsafe struct DecodeRows
{
    // A block's K, or V, is fetched while the other is read: both must fit in the first-level cache.
    private const int BlockBytes = 16 * 1024;

    private readonly int _rowBytes;
    private readonly int _capacity;
    private AttentionRun* _run;
    private int _row;
    private long _partRow;
    private long _left;

    /// <summary>Starts at the first row of <paramref name="part"/>.</summary>
    public DecodeRows(AttentionRun* runs, in DecodePart part, int rowBytes)
    {
        _rowBytes = rowBytes;
        _capacity = Math.Clamp(BlockBytes / rowBytes / 16 * 16, 16, DecodeBlock.Capacity);
        _run = runs + part.Run;
        _row = part.Skip;
        _left = part.Rows;
    }

    /// <summary>Replaces the contents of <paramref name="block"/> by the next rows; leaves it empty at the end of the part.</summary>
    public void Next(DecodeBlock* block)
    {
        block->Clear();
        while (block->Count < _capacity && _left > 0)
        {
            if (_row == _run->Tokens)
            {
                _run++;
                _row = 0;
                continue;
            }

            int count = (int)Math.Min(Math.Min(_capacity - block->Count, _run->Tokens - _row), _left);
            block->Add(_run, _row, count, _rowBytes, _partRow);
            _row += count;
            _partRow += count;
            _left -= count;
        }

        block->Pad();
    }
}
