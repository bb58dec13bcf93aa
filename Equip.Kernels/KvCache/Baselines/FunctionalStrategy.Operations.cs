using Equip.Kernels.Numerics;

namespace Equip.Kernels.KvCache.Baselines;

/// <content>
/// The tensor operations, a stretch of rows of every head at a time. Temporaries are <c>[kvHeads, kind, capacity, headDim]</c> in the
/// cache's type. As a framework's allocator reuses freed tensors, a kind serves operations that are never alive together.
/// </content>
public sealed unsafe partial class FunctionalStrategy
{
    private const int KeptKeys = 0, KeptValues = 1, KeyTimesCos = 0, HalfRotated = 1, HalfTimesSin = 2, Rotated = 1, FirstRepeat = 3;

    // Cosines of as many rows stay in the first-level cache while one head after the other takes them.
    private const int BlockRows = 32;

    private int TemporariesPerHead => FirstRepeat + (Repeats ? 2 * Shape.Group : 0);

    /// <summary>A head, or a stretch of rows of all heads, of the current operation.</summary>
    void Dispatch.IParallelTask.Execute(int chunk, int worker)
    {
        switch (_operation)
        {
            case Operation.ChooseRows: ChooseRows(chunk); return;
            case Operation.WriteRow: WriteRow(chunk); return;
        }

        int first = (int)Partition.First(_rows, chunk, _chunks), end = (int)Partition.First(_rows, chunk + 1, _chunks);
        if (_operation is Operation.KeepRows or Operation.AppendRows)
        {
            for (int head = 0; head < _heads.Length; head++)
            {
                if (!_evicts[head]) continue;
                if (_operation == Operation.KeepRows) KeepRows(head, first, end);
                else AppendRows(head, first, end);
            }

            return;
        }

        for (int row = first; row < end; row += BlockRows)
        {
            int count = Math.Min(BlockRows, end - row);
            for (int head = 0; head < _heads.Length; head++)
            {
                if (_operation == Operation.RepeatKv) RepeatKv(head, row, count);
                else Rotate(head, row, count);
            }
        }
    }

    private byte* Temporary(int head, int kind) => _temporaries + ((((long)head * TemporariesPerHead) + kind) * HeadBytes);

    /// <summary>The rows that stay by scores: a top-k over all of them but the recent ones, which always stay.</summary>
    private void ChooseRows(int index)
    {
        if (!_evicts[index]) return;
        HeadCache head = _heads[index];
        int count = head.Count;
        Span<float> scores = _scores.AsSpan(index * options.CapacityTokens, count);
        head.Scores[..count].CopyTo(scores);
        scores[Math.Max(0, count - options.RecentTokens)..].Fill(float.PositiveInfinity);
        TopK.Select(scores, _kept.AsSpan(index * options.CapacityTokens, count - 1));
    }

    /// <summary>Rows [first, end) of new K and V without the evicted row: two slices, or rows gathered by their indices.</summary>
    private void KeepRows(int index, int first, int end)
    {
        int victim = _slots[index];
        if (!ChoosesByScores)
        {
            if (first < victim) KeepRun(index, first, first, Math.Min(victim, end) - first);
            first = Math.Max(first, victim);
            KeepRun(index, first + 1, first, end - first);
            return;
        }

        ReadOnlySpan<int> kept = _kept.AsSpan(index * options.CapacityTokens, _heads[index].Count - 1);
        while (first < end)
        {
            int after = first + 1;
            while (after < end && kept[after] == kept[first] + after - first) after++;
            KeepRun(index, kept[first], first, after - first);
            first = after;
        }
    }

    private void KeepRun(int index, int source, int destination, int rows)
    {
        if (rows <= 0) return;
        long bytes = (long)rows * Shape.RowBytes, offset = (long)destination * Shape.RowBytes;
        Buffer.MemoryCopy(_heads[index].Key(source), Temporary(index, KeptKeys) + offset, bytes, bytes);
        Buffer.MemoryCopy(_heads[index].Value(source), Temporary(index, KeptValues) + offset, bytes, bytes);
    }

    /// <summary>Rows [first, end) of new K and V: the kept rows, to which the new one is then appended.</summary>
    private void AppendRows(int index, int first, int end)
    {
        long bytes = (long)(end - first) * Shape.RowBytes, offset = (long)first * Shape.RowBytes;
        if (bytes == 0) return;
        Buffer.MemoryCopy(Temporary(index, KeptKeys) + offset, _heads[index].Key(first), bytes, bytes);
        Buffer.MemoryCopy(Temporary(index, KeptValues) + offset, _heads[index].Value(first), bytes, bytes);
    }

    private void WriteRow(int index)
    {
        HeadCache head = _heads[index];
        int slot = _slots[index], headDim = Shape.HeadDim;
        if (_evicts[index])
        {
            head.ShiftDescriptions(slot);
            slot = head.Count;
        }

        head.Write(_context.Isa, slot, _keys.AsSpan(index * headDim, headDim), _values.AsSpan(index * headDim, headDim), _position, KeyRotation(_position));
    }

    /// <summary>One element-wise operation of x * cos + rotate_half(x) * sin.</summary>
    private void Rotate(int index, int first, int count)
    {
        RotationOperation operation = RotationOperation.TimesCos + (_operation - Operation.TimesCos);
        long offset = (long)first * Shape.RowBytes;
        fixed (float* cos = _cos, sin = _sin)
        {
            RotationRows rows = new()
            {
                Source = operation switch
                {
                    RotationOperation.TimesSin => Temporary(index, HalfRotated),
                    RotationOperation.Add => Temporary(index, KeyTimesCos),
                    _ => (byte*)_heads[index].Key(0),
                } + offset,
                Other = Temporary(index, HalfTimesSin) + offset,
                Destination = Temporary(index, operation switch
                {
                    RotationOperation.TimesCos => KeyTimesCos,
                    RotationOperation.RotateHalf => HalfRotated,
                    RotationOperation.TimesSin => HalfTimesSin,
                    _ => Rotated,
                }) + offset,
                Table = (operation == RotationOperation.TimesCos ? cos : sin) + ((long)first * options.Rope.Pairs),
                Count = count,
                HeadDim = Shape.HeadDim,
                Pairs = options.Rope.Pairs,
            };
            UnfusedRotation.Run(_context.Isa, Shape.CacheType, operation, rows);
        }
    }

    /// <summary>The rows once for every query head of the group.</summary>
    private void RepeatKv(int index, int first, int count)
    {
        long bytes = (long)count * Shape.RowBytes, offset = (long)first * Shape.RowBytes;
        byte* keys = (ranks ? Temporary(index, Rotated) : (byte*)_heads[index].Key(0)) + offset;
        for (int member = 0; member < Shape.Group; member++)
        {
            Buffer.MemoryCopy(keys, Temporary(index, FirstRepeat + member) + offset, bytes, bytes);
            Buffer.MemoryCopy(_heads[index].Value(first), Temporary(index, FirstRepeat + Shape.Group + member) + offset, bytes, bytes);
        }
    }
}
