using System.Runtime.CompilerServices;

namespace Equip.Kernels.Attention;

/// <summary>
/// Walks the rows of a part and packs them into blocks, across runs. A long part is walked at four places in turns: their
/// order carries no meaning, and memory serves distant streams at once.
/// </summary>
internal unsafe struct DecodeRows
{
    /// <summary>Most bytes of K, or of V, in a block, which are fetched while others are read: all of them fit in the second-level cache.</summary>
    public const int BlockBytes = 16 * 1024;

    // Blocks that make it worth to walk at several places.
    private const int LongBlocks = 8;

    // Paths score up to this many rows at a time from where a piece starts, and may store as many scores.
    private const int ScoredRows = 4;

    private readonly int _rowBytes, _capacity, _share;
    private readonly bool _ranks;
    private long _left;
    private int _turn;
    private Places _places;

    /// <summary>Starts at the first row of <paramref name="part"/>; blocks get the rows' rotations if <paramref name="ranks"/>.</summary>
    public DecodeRows(AttentionRun* runs, in DecodePart part, int rowBytes, bool ranks)
    {
        _rowBytes = rowBytes;
        _ranks = ranks;
        _capacity = Math.Clamp(BlockBytes / rowBytes / 16 * 16, 16, DecodeBlock.Capacity);
        _left = part.Rows;
        int places = part.Rows >= (long)LongBlocks * _capacity ? DecodeAhead.Lanes : 1;
        _share = _capacity / places;
        Place place = new() { Run = runs + part.Run, Row = part.Skip };
        for (int i = 0; i < places; i++)
        {
            // Not at equal distances, which may be powers of two: lines of all places would then share a few sets of the caches.
            long end = i + 1 == places ? part.Rows : (part.Rows * (i + 1) / places / _share * _share) + ((i + 1) * _share / 2);
            place.Left = end - place.PartRow;
            _places[i] = place;
            place.Skip(place.Left);
        }
    }

    /// <summary>Replaces the contents of <paramref name="block"/> by the next rows; leaves it empty at the end of the part.</summary>
    public void Next(DecodeBlock* block)
    {
        block->Clear();
        int end = _capacity;
        for (; block->Count < end && _left > 0; _turn = (_turn + 1) % DecodeAhead.Lanes)
        {
            ref Place place = ref _places[_turn];
            for (int wanted = (int)Math.Min(_share, place.Left); wanted > 0;)
            {
                // The last scores of a piece that starts in between would be stored past the block, over those of the next head.
                if (block->Count % ScoredRows != 0) end = Math.Min(_capacity, DecodeBlock.Capacity - ScoredRows + 1);
                if (block->Count >= end) break;
                int count = Math.Min(Math.Min(wanted, end - block->Count), place.Run->Tokens - place.Row);
                if (count > 0) block->Add(place.Run, place.Row, count, _rowBytes, place.PartRow, _ranks);
                place.Skip(count);
                place.Left -= count;
                _left -= count;
                wanted -= count;
            }
        }

        block->Pad();
    }

    [InlineArray(DecodeAhead.Lanes)]
    private struct Places
    {
        private Place _first;
    }

    /// <summary>A place in the part: its run, the row of it, the row of the part, and rows left.</summary>
    private struct Place
    {
        public AttentionRun* Run;
        public int Row;
        public long PartRow, Left;

        // Stops behind the last row of a run rather than at the next run, which may not exist.
        public void Skip(long rows)
        {
            if (Row == Run->Tokens)
            {
                Run++;
                Row = 0;
            }

            PartRow += rows;
            for (; rows > Run->Tokens - Row; Run++, Row = 0) rows -= Run->Tokens - Row;
            Row += (int)rows;
        }
    }
}
