using System.Runtime.CompilerServices;
using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.Memory;
using Equip.Kernels.Rope;

namespace Equip.Kernels.KvCache.Baselines;

/// <summary>
/// Baseline A, as the published StreamingLLM and H2O code works on tensors: an eviction concatenates the kept rows into new K
/// and V (for scores: a top-k over all of them and a gather per head), an insertion concatenates the new row, and with cache
/// positions the cache holds unrotated keys that are all rotated by rank at every step, by that code's four element-wise
/// operations, each a pass over all heads: 19 rows of traffic per cached row and step, attention included (10 with original
/// positions). With <paramref name="repeatKv"/> K and V are then expanded to the query heads, as Hugging Face models do, which
/// makes it 19 + 4 group. Every operation is vectorised and its rows share the threads; only its idea is slow.
/// </summary>
/// <param name="ranks">Cache positions.</param>
/// <param name="repeatKv">Expand K and V of a group to its query heads before attention.</param>
/// <param name="options">Policy and model.</param>
public sealed unsafe partial class FunctionalStrategy(bool ranks, bool repeatKv, CacheStrategyOptions options)
    : CacheStrategy(ranks ? options.CapacityTokens : int.MaxValue), IParallelTask
{
    private readonly AngleCache _angles = new(options.Rope, deltas: false);
    private readonly ScratchBuffer _scratch = options.Scratch ?? new ScratchBuffer();
    private HeadCache[] _heads = [];
    private bool[] _evicts = [];
    private int[] _slots = [];
    private float[] _keys = [];
    private float[] _values = [];
    private float[] _queries = [];
    private float[] _scores = [];   // [kvHeads, capacity]
    private int[] _kept = [];       // [kvHeads, capacity]
    private float[] _cos = [];      // [ranks, pairs]
    private float[] _sin = [];      // [ranks, pairs]
    private readonly AttentionRun[] _runs = new AttentionRun[options.Shape.Heads];
    private readonly int[] _firstRun = [.. Enumerable.Range(0, options.Shape.Heads + 1)];
    private float[] _memberWeights = [];
    private byte* _temporaries;
    private KernelContext _context = null!;
    private Operation _operation;
    private int _position;
    private int _rows;
    private int _chunks;

    private enum Operation
    {
        ChooseRows,
        KeepRows,
        AppendRows,
        WriteRow,
        TimesCos,
        RotateHalf,
        TimesSin,
        Add,
        RepeatKv,
    }

    /// <inheritdoc/>
    public override string Name => repeatKv ? "functional:repeat-kv" : "functional";

    /// <inheritdoc/>
    public override bool AttendsAlone => true;

    /// <inheritdoc/>
    public override bool StoresUnrotatedKeys => ranks;

    /// <inheritdoc/>
    public override bool ExtendsEvictedCache => !ranks;

    private AttentionShape Shape => options.Shape;

    private bool Repeats => repeatKv && Shape.Group > 1;

    private bool ChoosesByScores => options.RecentTokens > 0;

    private long HeadBytes => (long)options.CapacityTokens * Shape.RowBytes;

    /// <inheritdoc/>
    public override int KeyRotation(int position) => ranks ? 0 : position;

    /// <inheritdoc/>
    public override int MaxRuns(HeadCache head) => 0;

    /// <inheritdoc/>
    public override int WriteRuns(HeadCache head, int position, IRotatedQueries queries, float* columnWeights, Span<AttentionRun> runs) => 0;

    /// <inheritdoc/>
    public override void Insert(KernelContext context, ReadOnlySpan<HeadCache> heads, ReadOnlySpan<int> slots, ReadOnlySpan<float> keys, ReadOnlySpan<float> values, int position)
    {
        ArgumentNullException.ThrowIfNull(context);
        _position = position;
        Assign(slots, ref _slots);
        Assign(keys, ref _keys);
        Assign(values, ref _values);
        Begin(context, heads);
        if (_evicts.Length < heads.Length) _evicts = new bool[heads.Length];
        bool any = false;
        for (int i = 0; i < heads.Length; i++) any |= _evicts[i] = RankOffsets.IsLive(heads[i], slots[i]);
        if (any)
        {
            if (ChoosesByScores)
            {
                if (_kept.Length < heads.Length * options.CapacityTokens) (_kept, _scores) = (new int[heads.Length * options.CapacityTokens], new float[heads.Length * options.CapacityTokens]);
                RunHeads(Operation.ChooseRows);
            }

            RunRows(Operation.KeepRows, heads[0].Count - 1);
            RunRows(Operation.AppendRows, heads[0].Count - 1);
        }

        RunHeads(Operation.WriteRow);
    }

    /// <inheritdoc/>
    public override void Release()
    {
        if (options.Scratch is null) _scratch.Dispose();
    }

    /// <inheritdoc/>
    public override void Attend(KernelContext context, ReadOnlySpan<HeadCache> heads, int position, ReadOnlySpan<float> queries, float* columnWeights, int stride, Span<float> output)
    {
        ArgumentNullException.ThrowIfNull(context);
        int rows = heads[0].Count, rotation = ranks ? rows - 1 : position;
        if (_queries.Length < queries.Length) _queries = new float[queries.Length];
        _angles.Get(rotation, out ReadOnlySpan<float> cos, out ReadOnlySpan<float> sin);
        RopeRotation.Rotate(context, options.Rope, queries, _queries, cos, sin, 1, Shape.Heads);
        Begin(context, heads);
        if (ranks)
        {
            FillAngles();
            for (Operation operation = Operation.TimesCos; operation <= Operation.Add; operation++) RunRows(operation, rows);
        }

        if (Repeats) RunRows(Operation.RepeatKv, rows);
        AttendRows(context, heads, rows, columnWeights, stride, output);
    }

    /// <summary>Attention over the rows that the operations have left: the rotated copy, expanded or not.</summary>
    private void AttendRows(KernelContext context, ReadOnlySpan<HeadCache> heads, int rows, float* columnWeights, int stride, Span<float> output)
    {
        int members = Repeats ? Shape.Group : 1, streams = heads.Length * members;
        if (columnWeights != null && Repeats && _memberWeights.Length < Shape.Heads * stride)
            _memberWeights = GC.AllocateUninitializedArray<float>(Shape.Heads * stride, pinned: true);
        float* weights = columnWeights == null ? null : Repeats ? (float*)Unsafe.AsPointer(ref _memberWeights[0]) : columnWeights;
        fixed (float* queries = _queries)
        {
            for (int stream = 0; stream < streams; stream++)
            {
                int head = stream / members, member = stream % members;
                _runs[stream] = new AttentionRun
                {
                    Keys = Repeats ? Temporary(head, FirstRepeat + member) : ranks ? Temporary(head, Rotated) : heads[head].Key(0),
                    Values = Repeats ? Temporary(head, FirstRepeat + Shape.Group + member) : heads[head].Value(0),
                    Queries = queries + ((long)stream * (Shape.Group / members) * Shape.HeadDim),
                    ColumnWeights = weights == null ? null : weights + ((long)stream * stride),
                    Tokens = rows,
                };
            }

            AttentionShape shape = new(Shape.Heads, streams, Shape.HeadDim, Shape.CacheType, Shape.Scale);
            DecodeAttention.Attend(context, shape, _runs.AsSpan(0, streams), _firstRun.AsSpan(0, streams + 1), output);
        }

        if (weights == columnWeights) return;
        for (int stream = 0; stream < streams; stream++)
        {
            Span<float> sum = new(columnWeights + ((long)(stream / members) * stride), rows);
            if (stream % members == 0) sum.Clear();
            ScoreSums.Add(sum, new ReadOnlySpan<float>(weights + ((long)stream * stride), rows));
        }
    }

    private void FillAngles()
    {
        if (_cos.Length > 0) return;
        _cos = new float[options.CapacityTokens * options.Rope.Pairs];
        _sin = new float[options.CapacityTokens * options.Rope.Pairs];
        options.Rope.Fill([.. Enumerable.Range(0, options.CapacityTokens)], _cos, _sin);
    }

    /// <summary>Takes up a layer; the temporaries may be another sequence's a moment later.</summary>
    private void Begin(KernelContext context, ReadOnlySpan<HeadCache> heads)
    {
        _context = context;
        Assign(heads, ref _heads);
        _temporaries = (byte*)_scratch.Reserve(TemporariesPerHead * HeadBytes * heads.Length);
    }

    private void RunHeads(Operation operation)
    {
        _operation = operation;
        _context.Pool.Run(this, _heads.Length);
    }

    private void RunRows(Operation operation, int rows)
    {
        _operation = operation;
        _rows = rows;
        _chunks = BaselineRows.Segments(1, rows, _context.Threads);
        _context.Pool.Run(this, _chunks);
    }

    private static void Assign<T>(ReadOnlySpan<T> source, ref T[] destination)
    {
        if (destination.Length != source.Length) destination = new T[source.Length];
        source.CopyTo(destination);
    }
}
