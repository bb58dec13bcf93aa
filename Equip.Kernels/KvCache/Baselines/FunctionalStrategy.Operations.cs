using System.Numerics;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.KvCache.Baselines;

/// <content>The tensor operations, one head at a time. Temporaries are <c>[kvHeads, kind, capacity, headDim]</c> in the cache's type.</content>
public sealed unsafe partial class FunctionalStrategy
{
    private const int KeptKeys = 0, KeptValues = 1, KeyTimesCos = 2, HalfRotated = 3, HalfTimesSin = 4, Rotated = 5, FirstRepeat = 6;

    private int TemporariesPerHead => FirstRepeat + (Repeats ? 2 * Shape.Group : 0);

    /// <summary>One head of the current operation.</summary>
    void Dispatch.IParallelTask.Execute(int chunk, int worker)
    {
        HeadCache head = _heads[chunk];
        switch (_operation)
        {
            case Operation.KeepRows:
                if (RankOffsets.IsLive(head, _slots[chunk])) KeepRows(head, chunk);
                break;
            case Operation.AppendRow:
                AppendRow(head, chunk);
                break;
            case Operation.RepeatKv:
                RepeatKv(head, chunk);
                break;
            default:
                RotateStep(head, chunk);
                break;
        }
    }

    private byte* Temporary(int head, int kind) => (byte*)_temporaries!.Pointer + ((((long)head * TemporariesPerHead) + kind) * HeadBytes);

    /// <summary>New K and V without the evicted row: two slices, or rows gathered by a top-k over all scores.</summary>
    private void KeepRows(HeadCache head, int chunk)
    {
        int victim = _slots[chunk], kept = head.Count - 1, rowBytes = Shape.RowBytes;
        byte* keys = Temporary(chunk, KeptKeys), values = Temporary(chunk, KeptValues);
        if (options.RecentTokens == 0)
        {
            CopyRows(head, 0, victim, keys, values);
            CopyRows(head, victim + 1, kept - victim, keys + ((long)victim * rowBytes), values + ((long)victim * rowBytes));
            return;
        }

        int[] rows = new int[kept];
        float[] scores = head.Scores[..head.Count].ToArray();
        scores.AsSpan(Math.Max(0, head.Count - options.RecentTokens)).Fill(float.PositiveInfinity);
        TopK.Select(scores, rows);
        for (int i = 0; i < kept; i++) CopyRows(head, rows[i], 1, keys + ((long)i * rowBytes), values + ((long)i * rowBytes));
    }

    private void CopyRows(HeadCache head, int first, int count, byte* keys, byte* values)
    {
        if (count <= 0) return;
        long bytes = (long)count * Shape.RowBytes;
        Buffer.MemoryCopy(head.Key(first), keys, bytes, bytes);
        Buffer.MemoryCopy(head.Value(first), values, bytes, bytes);
    }

    /// <summary>New K and V: the kept rows and the new one.</summary>
    private void AppendRow(HeadCache head, int chunk)
    {
        int slot = _slots[chunk], headDim = Shape.HeadDim;
        if (RankOffsets.IsLive(head, slot))
        {
            head.ShiftDescriptions(slot);
            long bytes = (long)head.Count * Shape.RowBytes;
            if (head.Count > 0)
            {
                Buffer.MemoryCopy(Temporary(chunk, KeptKeys), head.Key(0), bytes, bytes);
                Buffer.MemoryCopy(Temporary(chunk, KeptValues), head.Value(0), bytes, bytes);
            }

            slot = head.Count;
        }

        head.Write(_context.Isa, slot, _keys.AsSpan(chunk * headDim, headDim), _values.AsSpan(chunk * headDim, headDim), _position, KeyRotation(_position));
    }

    /// <summary>One element-wise operation of x * cos + rotate_half(x) * sin over all rows.</summary>
    private void RotateStep(HeadCache head, int chunk)
    {
        int headDim = Shape.HeadDim, pairs = options.Rope.Pairs;
        float* memory = stackalloc float[3 * Attention.AttentionShape.MaxHeadDim];
        Span<float> a = new(memory, headDim), b = new(memory + headDim, headDim), result = new(memory + (2 * headDim), headDim);
        for (int row = 0; row < head.Count; row++)
        {
            Load(_operation == Operation.TimesSin ? Temporary(chunk, HalfRotated) : _operation == Operation.Add ? Temporary(chunk, KeyTimesCos) : (byte*)head.Key(0), row, a);
            ReadOnlySpan<float> cos = _cos.AsSpan(row * pairs, pairs), sin = _sin.AsSpan(row * pairs, pairs);
            switch (_operation)
            {
                case Operation.TimesCos:
                    a.CopyTo(result);
                    Multiply(a, cos, result);
                    Multiply(a[pairs..], cos, result[pairs..]);
                    break;
                case Operation.RotateHalf:
                    result.Clear();
                    for (int i = 0; i < pairs; i++) result[i] = -a[pairs + i];
                    a[..pairs].CopyTo(result[pairs..]);
                    break;
                case Operation.TimesSin:
                    a.CopyTo(result);
                    Multiply(a, sin, result);
                    Multiply(a[pairs..], sin, result[pairs..]);
                    break;
                default:
                    Load(Temporary(chunk, HalfTimesSin), row, b);
                    a.CopyTo(result);
                    Eviction.ScoreSums.Add(result, b);
                    break;
            }

            byte* destination = Temporary(chunk, KeyTimesCos + (_operation - Operation.TimesCos)) + ((long)row * Shape.RowBytes);
            Conversion.Narrow(_context.Isa, result, destination, Shape.CacheType);
        }
    }

    /// <summary>The rows once for every query head of the group.</summary>
    private void RepeatKv(HeadCache head, int chunk)
    {
        long bytes = (long)head.Count * Shape.RowBytes;
        void* keys = ranks ? Temporary(chunk, Rotated) : head.Key(0);
        for (int member = 0; member < Shape.Group; member++)
        {
            Buffer.MemoryCopy(keys, Temporary(chunk, FirstRepeat + member), bytes, bytes);
            Buffer.MemoryCopy(head.Value(0), Temporary(chunk, FirstRepeat + Shape.Group + member), bytes, bytes);
        }
    }

    private void Load(byte* rows, int row, Span<float> destination)
        => Conversion.Widen(_context.Isa, rows + ((long)row * Shape.RowBytes), Shape.CacheType, destination);

    /// <summary>result[i] = a[i] * b[i] for as many elements as b has.</summary>
    private static void Multiply(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> result)
    {
        int wide = b.Length / Vector<float>.Count * Vector<float>.Count;
        for (int i = 0; i < wide; i += Vector<float>.Count) (new Vector<float>(a[i..]) * new Vector<float>(b[i..])).CopyTo(result[i..]);
        for (int i = wide; i < b.Length; i++) result[i] = a[i] * b[i];
    }
}
