namespace Equip.Kernels.Attention;

/// <summary>Walks the rows of a part and packs them into blocks, across runs.</summary>
internal unsafe struct DecodeRows
{
    // A block's K, or V, is fetched while the other is read: both must fit in the first-level cache.
    private const int BlockBytes = 16 * 1024;

    // Paths score this many rows at a time from where a piece starts, and store as many scores.
    private const int ScoredRows = 4;

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
        int end = _capacity;
        while (block->Count < end && _left > 0)
        {
            if (_row == _run->Tokens)
            {
                _run++;
                _row = 0;
                continue;
            }

            // The last scores of a piece that starts in between would be stored past the block, over those of the next head.
            if (block->Count % ScoredRows != 0) end = Math.Min(_capacity, DecodeBlock.Capacity - ScoredRows + 1);
            if (block->Count >= end) break;
            int count = (int)Math.Min(Math.Min(end - block->Count, _run->Tokens - _row), _left);
            block->Add(_run, _row, count, _rowBytes, _partRow);
            _row += count;
            _partRow += count;
            _left -= count;
        }

        block->Pad();
    }
}
