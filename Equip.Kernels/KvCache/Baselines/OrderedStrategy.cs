using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Rope;

namespace Equip.Kernels.KvCache.Baselines;

/// <summary>
/// What the baselines share: rows lie in order of age in one page, and with cache positions every stored key is rotated by its
/// rank, so that an eviction changes the rotation of all younger keys by -1. The query is rotated to the newest rank. Repeated
/// rotation of stored 16-bit keys drifts; that is these methods' own, and the reason why Equip does not do it. Heads share the
/// threads, and where there are few of them so do the rows of a head.
/// </summary>
/// <param name="ranks">Cache positions; otherwise original ones, and nothing is ever rotated again.</param>
/// <param name="options">Policy and model.</param>
public abstract unsafe class OrderedStrategy(bool ranks, CacheStrategyOptions options) : CacheStrategy(ranks ? options.CapacityTokens : int.MaxValue), IParallelTask
{
    private readonly float[] _cos = new float[options.Rope.Pairs];
    private readonly float[] _sin = new float[options.Rope.Pairs];
    private readonly AngleCache _deltas = new(options.Rope, deltas: true);
    private HeadCache[] _heads = [];
    private int[] _slots = [];
    private float[] _keys = [];
    private float[] _values = [];
    private byte[] _edges = [];   // [heads, segments, K and V, headDim]
    private bool[] _evicts = [];
    private int _segments;
    private bool _writing;
    private int _position;

    /// <inheritdoc/>
    public override bool ExtendsEvictedCache => !ranks;

    /// <summary>Whether an eviction moves the younger rows down by one; otherwise the new row takes the victim's slot.</summary>
    protected abstract bool MovesRows { get; }

    /// <summary>Whether stored keys are rotated by rank.</summary>
    protected bool Ranks => ranks;

    /// <summary>The model's rotation.</summary>
    protected RopeTable Rope => options.Rope;

    /// <summary>Heads, head dimension, cache type.</summary>
    protected AttentionShape Shape => options.Shape;

    /// <summary>Path and threads of the current call.</summary>
    protected KernelContext Context { get; private set; } = null!;

    /// <summary>Cosines of a rotation by -1.</summary>
    protected ReadOnlySpan<float> BackCos => _cos;

    /// <summary>Sines of a rotation by -1.</summary>
    protected ReadOnlySpan<float> BackSin => _sin;

    /// <inheritdoc/>
    public sealed override int KeyRotation(int position) => ranks ? Math.Min(position, options.CapacityTokens - 1) : position;

    /// <inheritdoc/>
    public override int MaxRuns(HeadCache head) => head.PageCount;

    /// <inheritdoc/>
    public override int WriteRuns(HeadCache head, int position, IRotatedQueries queries, float* columnWeights, Span<AttentionRun> runs)
        => WritePages(head, 0, head.Capacity, queries.At(KeyRotation(position)), columnWeights, runs);

    /// <inheritdoc/>
    public override void AfterPrompt(KernelContext context, ReadOnlySpan<HeadCache> heads)
    {
        if (!ranks) return;
        foreach (HeadCache head in heads)
        {
            for (int slot = 0; slot < head.Count; slot++)
            {
                if (head.Rotations[slot] == slot) continue;
                _deltas.Get(slot - head.Rotations[slot], out ReadOnlySpan<float> cos, out ReadOnlySpan<float> sin);
                RopeRotation.RotateStored(context, Rope, head.Key(slot), Shape.CacheType, 1, cos, sin);
                head.Rotations[slot] = slot;
            }
        }
    }

    /// <inheritdoc/>
    public sealed override void Insert(KernelContext context, ReadOnlySpan<HeadCache> heads, ReadOnlySpan<int> slots, ReadOnlySpan<float> keys, ReadOnlySpan<float> values, int position)
    {
        ArgumentNullException.ThrowIfNull(context);
        Context = context;
        _deltas.Get(-1, out ReadOnlySpan<float> cos, out ReadOnlySpan<float> sin);
        cos.CopyTo(_cos);
        sin.CopyTo(_sin);
        Copy(heads, ref _heads);
        Copy(slots, ref _slots);
        Copy(keys, ref _keys);
        Copy(values, ref _values);
        if (_evicts.Length < heads.Length) _evicts = new bool[heads.Length];
        _position = position;
        _segments = BaselineRows.Segments(heads.Length, options.CapacityTokens, context.Threads);
        bool any = false;
        for (int i = 0; i < heads.Length; i++) any |= _evicts[i] = RankOffsets.IsLive(heads[i], slots[i]);
        if (any && (MovesRows || ranks))
        {
            SaveEdges(heads.Length);
            _writing = false;
            context.Pool.Run(this, heads.Length * _segments);
        }

        _writing = true;
        context.Pool.Run(this, heads.Length);
    }

    /// <summary>A segment of a head's rows, or the new row of a head.</summary>
    void IParallelTask.Execute(int chunk, int worker)
    {
        if (_writing)
        {
            Write(chunk);
            return;
        }

        int head = chunk / _segments, segment = chunk % _segments;
        if (!_evicts[head]) return;
        (int first, int end) = Segment(head, segment);
        if (end <= first) return;
        HeadCache cache = _heads[head];
        bool atEnd = !MovesRows || end == cache.Count - 1;
        fixed (byte* edges = _edges)
        {
            byte* edge = edges + ((long)chunk * 2 * Shape.RowBytes);
            UpdateRows(cache, _slots[head], first, end - first, atEnd ? cache.Key(cache.Count - 1) : edge, atEnd ? cache.Value(cache.Count - 1) : edge + Shape.RowBytes);
        }
    }

    /// <summary>Carries an eviction out on some slots.</summary>
    /// <param name="head">The head; the rows of other segments may already have changed.</param>
    /// <param name="victim">The slot of the evicted token.</param>
    /// <param name="first">The first slot.</param>
    /// <param name="count">Slots.</param>
    /// <param name="nextKey">Where rows move: the K row that the last of the slots receives.</param>
    /// <param name="nextValue">The V row that it receives.</param>
    protected abstract void UpdateRows(HeadCache head, int victim, int first, int count, void* nextKey, void* nextValue);

    /// <summary>Moves <paramref name="count"/> - 1 rows of K or V down by one to <paramref name="rows"/>, and <paramref name="next"/> into the last place.</summary>
    protected void MoveDown(void* rows, int count, void* next)
    {
        byte* destination = (byte*)rows;
        long bytes = (count - 1L) * Shape.RowBytes;
        Buffer.MemoryCopy(destination + Shape.RowBytes, destination, bytes, bytes);
        Buffer.MemoryCopy(next, destination + bytes, Shape.RowBytes, Shape.RowBytes);
    }

    /// <summary>The slots that segment <paramref name="segment"/> of a head's update covers.</summary>
    private (int First, int End) Segment(int head, int segment)
    {
        int start = MovesRows ? _slots[head] : 0, rows = MovesRows ? _heads[head].Count - 1 - start : _heads[head].Count;
        return (start + (int)((long)rows * segment / _segments), start + (int)((long)rows * (segment + 1) / _segments));
    }

    /// <summary>A segment's last slot receives the first row of the next one, which may be overwritten by then.</summary>
    private void SaveEdges(int heads)
    {
        if (!MovesRows || _segments == 1) return;
        int rowBytes = Shape.RowBytes;
        if (_edges.Length < heads * _segments * 2 * rowBytes) _edges = new byte[heads * _segments * 2 * rowBytes];
        for (int chunk = 0; chunk < heads * _segments; chunk++)
        {
            int head = chunk / _segments;
            if (!_evicts[head]) continue;
            int end = Segment(head, chunk % _segments).End;
            new ReadOnlySpan<byte>(_heads[head].Key(end), rowBytes).CopyTo(_edges.AsSpan(chunk * 2 * rowBytes));
            new ReadOnlySpan<byte>(_heads[head].Value(end), rowBytes).CopyTo(_edges.AsSpan(((chunk * 2) + 1) * rowBytes));
        }
    }

    private void Write(int index)
    {
        HeadCache head = _heads[index];
        int slot = _slots[index], headDim = Shape.HeadDim;
        if (_evicts[index] && MovesRows)
        {
            head.ShiftDescriptions(slot);
            if (ranks)
                foreach (ref int rotation in head.Rotations[slot..head.Count]) rotation--;
            slot = head.Count;
        }

        head.Write(Context.Isa, slot, _keys.AsSpan(index * headDim, headDim), _values.AsSpan(index * headDim, headDim), _position, KeyRotation(_position));
    }

    private static void Copy<T>(ReadOnlySpan<T> source, ref T[] destination)
    {
        if (destination.Length < source.Length) destination = new T[source.Length];
        source.CopyTo(destination);
    }
}
