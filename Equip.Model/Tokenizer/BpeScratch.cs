namespace Equip.Model.Tokenizer;

/// <summary>What one thread needs to encode: the symbols of a piece, the queue of merges, and the pieces it has seen.</summary>
internal sealed class BpeScratch
{
    private const int MaxKnownPieces = 1 << 15, MaxKnownLength = 64;

    // Merge candidates, the lowest rank first and of equal ranks the leftmost: key = rank, then place.
    private readonly PriorityQueue<int, long> _queue = new();
    private readonly Dictionary<string, (int Start, int Count)> _known = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (int Start, int Count)>.AlternateLookup<ReadOnlySpan<char>> _knownLookup;
    private readonly List<int> _knownIds = [];
    private Symbol[] _symbols = new Symbol[64];
    private int _count;

    public BpeScratch() => _knownLookup = _known.GetAlternateLookup<ReadOnlySpan<char>>();

    /// <summary>Appends the ids of a piece that was encoded before.</summary>
    public bool TryCopyKnown(ReadOnlySpan<char> piece, List<int> ids)
    {
        if (!_knownLookup.TryGetValue(piece, out (int Start, int Count) known)) return false;
        for (int i = 0; i < known.Count; i++) ids.Add(_knownIds[known.Start + i]);
        return true;
    }

    /// <summary>Keeps the ids from <paramref name="first"/> on for the next time; not for long pieces, nor for ever more of them.</summary>
    public void Remember(ReadOnlySpan<char> piece, List<int> ids, int first)
    {
        if (piece.Length > MaxKnownLength || _known.Count >= MaxKnownPieces) return;
        _known.Add(piece.ToString(), (_knownIds.Count, ids.Count - first));
        for (int i = first; i < ids.Count; i++) _knownIds.Add(ids[i]);
    }

    /// <summary>Appends a symbol to the piece.</summary>
    public void Add(int id)
    {
        if (_count == _symbols.Length) Array.Resize(ref _symbols, _count * 2);
        _symbols[_count] = new Symbol { Id = id, Previous = _count - 1, Next = _count + 1 };
        _count++;
    }

    /// <summary>Merges neighbours, the lowest rank first, until no merge applies; appends what is left and forgets the piece.</summary>
    public void Merge(Dictionary<long, (int Rank, int Id)> merges, List<int> ids)
    {
        Span<Symbol> symbols = _symbols.AsSpan(0, _count);
        for (int i = 0; i < _count; i++) Offer(symbols, i, merges);
        while (_queue.TryDequeue(out int at, out long key))
        {
            ref Symbol left = ref symbols[at];
            // The pair may be gone, or another one by now.
            if (left.Id < 0 || left.Next >= _count) continue;
            ref Symbol right = ref symbols[left.Next];
            if (!merges.TryGetValue(BpeModel.Pair(left.Id, right.Id), out (int Rank, int Id) merge) || merge.Rank != key >> 32) continue;

            left.Id = merge.Id;
            right.Id = -1;
            left.Next = right.Next;
            if (left.Next < _count) symbols[left.Next].Previous = at;
            if (left.Previous >= 0) Offer(symbols, left.Previous, merges);
            Offer(symbols, at, merges);
        }

        for (int at = 0; at < _count; at = symbols[at].Next) ids.Add(symbols[at].Id);
        _count = 0;
    }

    private void Offer(Span<Symbol> symbols, int at, Dictionary<long, (int Rank, int Id)> merges)
    {
        int next = symbols[at].Next;
        if (next < _count && merges.TryGetValue(BpeModel.Pair(symbols[at].Id, symbols[next].Id), out (int Rank, int Id) merge))
            _queue.Enqueue(at, ((long)merge.Rank << 32) | (uint)at);
    }

    private struct Symbol
    {
        public int Id, Previous, Next;
    }
}
