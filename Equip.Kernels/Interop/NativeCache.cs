using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;

namespace Equip.Kernels.Interop;

/// <summary>
/// <c>equip_cache</c>: the caches of one sequence with the strategy that realises its positions. Without a rotation, keys and
/// queries come as the caller wants them attended, and positions are original.
/// </summary>
internal sealed unsafe class NativeCache : IDisposable
{
    /// <summary>The most tokens of a page: what is known of a slot takes 16 bytes, and pages are taken whole.</summary>
    public const int LargestPage = 1 << 20;

    // A growing cache grows by this.
    private const int GrowingPage = 256;

    private readonly PagePool _pool;
    private readonly CacheStrategy _strategy;
    private readonly AngleCache? _angles;
    private readonly GivenQueries _given = new();
    private readonly RotatedQueries? _rotated;
    private readonly int _fixedSlots;
    private readonly float[] _keys;
    private readonly int[] _firstRun;
    private AttentionRun[] _runs = [];

    public NativeCache(in EquipCacheOptions options, RopeTable? rope, NativePolicy? policy)
    {
        Require.InRange(options.Layers, 1, 1 << 16, "options->layers");
        Shape = new AttentionShape(options.Heads, options.KvHeads, options.HeadDim, (DataType)Argument.Enumeration(options.CacheType, (int)DataType.BF16, "options->cache_type"), options.Scale);
        if (!float.IsFinite(options.Scale)) Argument.Throw($"options->scale: got {options.Scale}, expected a finite number");
        Require.InRange((long)options.Layers * options.KvHeads, 1, 1 << 20, "options->layers * options->kv_heads");
        Require.InRange(options.CapacityTokens, 0, int.MaxValue - 1, "options->capacity_tokens");
        Require.InRange(options.SinkTokens, 0, int.MaxValue - 1, "options->sink_tokens");
        if (policy is not null && (options.CapacityTokens | options.SinkTokens) != 0) Argument.Throw("options->capacity_tokens, sink_tokens: got a value besides a policy, which has its own; expected 0");
        if (rope is not null && rope.Options.HeadDim != options.HeadDim) Argument.Throw($"rope: got head_dim {rope.Options.HeadDim}, expected {options.HeadDim}");
        Rope = rope;
        Capacity = policy?.Policy.CapacityTokens ?? options.CapacityTokens;
        bool window = policy?.Policy is StreamingPolicy || (policy is null && Capacity > 0);
        int sinks = policy?.Options.SinkTokens ?? options.SinkTokens;
        if (window) Require.InRange(sinks, 0, Capacity - 1, "options->sink_tokens");
        _strategy = Strategy((CachePositions)Argument.Enumeration(options.Positions, (int)CachePositions.Lazy, "options->positions"), window, sinks, policy?.Policy.RecentTokens ?? 0);
        _fixedSlots = _strategy is TwoQueryPositions ? sinks : 0;
        int page = options.PageTokens != 0 ? options.PageTokens : policy is { Policy.PageTokens: > 0 } ? policy.Policy.PageTokens : Capacity > 0 ? Math.Min(Capacity, LargestPage) : GrowingPage;
        Require.InRange(page, 1, LargestPage, "options->page_tokens");
        _pool = new PagePool(page, options.HeadDim, Shape.CacheType);
        Rows = new SequenceCache(_pool, options.Layers, options.KvHeads);
        _keys = new float[options.KvHeads * options.HeadDim];
        _firstRun = new int[options.KvHeads + 1];
        if (rope is null) return;
        _angles = new AngleCache(rope, deltas: false);
        _rotated = new RotatedQueries(rope, Shape.Group);
    }

    /// <summary>The rows.</summary>
    public SequenceCache Rows { get; private set; }

    /// <summary>Heads, head dimension, cache type.</summary>
    public AttentionShape Shape { get; }

    /// <summary>The rotation of keys and queries, if this cache does it.</summary>
    public RopeTable? Rope { get; }

    /// <summary>Rows that a head may hold; 0 if it grows.</summary>
    public int Capacity { get; }

    /// <summary>Tokens of a page.</summary>
    public int PageTokens => _pool.PageTokens;

    /// <summary>Whether positions depend on every eviction, one by one.</summary>
    public bool KeepsRanks => _strategy is not OriginalPositions;

    /// <summary>How positions are realised: what a snapshot must agree with.</summary>
    public string PositionName => _strategy.Name;

    /// <summary>Writes a token into a layer. Everything is checked, and the pages it needs are there, before anything changes.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="layer">Which layer.</param>
    /// <param name="position">The token's place in the text.</param>
    /// <param name="slots"><c>[kvHeads]</c>, or empty for each head's next free slot.</param>
    /// <param name="keys"><c>[kvHeads, headDim]</c>.</param>
    /// <param name="values"><c>[kvHeads, headDim]</c>.</param>
    /// <param name="replaces">Whether every slot must hold a live row.</param>
    public void Write(KernelContext context, int layer, int position, ReadOnlySpan<int> slots, ReadOnlySpan<float> keys, ReadOnlySpan<float> values, bool replaces)
    {
        ReadOnlySpan<HeadCache> heads = Layer(layer);
        Require.InRange(position, 0, int.MaxValue);
        Span<int> chosen = stackalloc int[Math.Min(heads.Length, 256)];
        if (heads.Length > chosen.Length) chosen = new int[heads.Length];
        int newPages = 0;
        for (int head = 0; head < heads.Length; head++)
        {
            HeadCache cache = heads[head];
            int free = cache.NextFreeSlot(), slot = slots.IsEmpty ? free : slots[head];
            chosen[head] = slot;
            if (IsLive(cache, slot))
            {
                if (slot < _fixedSlots && cache.Positions[slot] != position) Argument.Throw($"slots[{head}]: got {slot}, which holds a sink; expected {_fixedSlots} or more");
                continue;
            }

            if (replaces || slot != free) Argument.Throw($"slots[{head}]: got {slot}, expected a live slot{(replaces ? string.Empty : $" or {free}, the next free one")}");
            if (Capacity > 0 && cache.Count >= Capacity) throw new InteropException(EquipStatus.InvalidState, $"cache: KV head {head} of layer {layer} holds {cache.Count} tokens, its capacity; a token must be replaced");
            if (slot == cache.Capacity) newPages++;
        }

        _pool.Reserve(newPages);
        ReadOnlySpan<float> rotated = keys;
        if (Rope is not null)
        {
            _angles!.Get(_strategy.KeyRotation(position), out ReadOnlySpan<float> cos, out ReadOnlySpan<float> sin);
            RopeRotation.Rotate(context, Rope, keys, _keys, cos, sin, 1, heads.Length);
            rotated = _keys;
        }

        _strategy.Insert(context, heads, chosen, rotated, values, position);
    }

    /// <summary>Attends a layer's live rows.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="layer">Which layer.</param>
    /// <param name="position">The newest token's position, already written.</param>
    /// <param name="queries"><c>[heads, headDim]</c>; unrotated if the cache rotates.</param>
    /// <param name="weights">Null, or <c>[kvHeads, stride]</c>: receives by slot what every row got.</param>
    /// <param name="stride">Elements from one KV head to the next.</param>
    /// <param name="output"><c>[heads, headDim]</c>.</param>
    public void Attend(KernelContext context, int layer, int position, float* queries, float* weights, int stride, Span<float> output)
    {
        ReadOnlySpan<HeadCache> heads = Layer(layer);
        Require.InRange(position, 0, int.MaxValue);
        int written = 0;
        _rotated?.BeginLayer(context);
        for (int head = 0; head < heads.Length; head++)
        {
            int most = _strategy.MaxRuns(heads[head]);
            if (_runs.Length < written + most) Array.Resize(ref _runs, Math.Max(written + most, 2 * _runs.Length));
            _firstRun[head] = written;
            float* group = queries + ((long)head * Shape.Group * Shape.HeadDim);
            _rotated?.Select(group);
            _given.Queries = group;
            written += _strategy.WriteRuns(heads[head], position, (IRotatedQueries?)_rotated ?? _given, weights == null ? null : weights + ((long)head * stride), _runs.AsSpan(written));
        }

        _firstRun[heads.Length] = written;
        DecodeAttention.Attend(context, Shape, _runs.AsSpan(0, written), _firstRun, output);
    }

    /// <summary>The heads of a layer.</summary>
    public ReadOnlySpan<HeadCache> Layer(int layer)
    {
        Require.InRange(layer, 0, Rows.Layers - 1);
        return Rows.Layer(layer);
    }

    /// <summary>One head.</summary>
    public HeadCache Head(int layer, int kvHead)
    {
        Require.InRange(kvHead, 0, Shape.KvHeads - 1, "kv_head");
        return Layer(layer)[kvHead];
    }

    /// <summary>Rows for a policy's use that take the place of these when they are complete.</summary>
    public SequenceCache NewRows() => new(_pool, Rows.Layers, Rows.KvHeads);

    /// <summary>Replaces all rows.</summary>
    public void Replace(SequenceCache rows)
    {
        Rows.Dispose();
        Rows = rows;
        _pool.Trim();
    }

    /// <summary>Sets what positions need to know after a prompt was stored in a layer.</summary>
    public void AfterPrompt(KernelContext context, int layer) => _strategy.AfterPrompt(context, Layer(layer));

    /// <summary>Whether a slot holds a token.</summary>
    public static bool IsLive(HeadCache head, int slot) => slot >= 0 && RankOffsets.IsLive(head, slot);

    public void Dispose()
    {
        Rows.Dispose();
        _pool.Dispose();
        _rotated?.Dispose();
        _strategy.Release();
    }

    private CacheStrategy Strategy(CachePositions positions, bool window, int sinks, int recent)
    {
        if (Rope is null)
        {
            if (positions != CachePositions.Original) Argument.Throw("options->positions: cache positions need a rope, which the cache then applies");
            return new OriginalPositions();
        }

        PositionScheme scheme = positions switch
        {
            CachePositions.Original => PositionScheme.Original,
            CachePositions.Cache => PositionScheme.Cache,
            CachePositions.TwoQuery => PositionScheme.CacheTwoQuery,
            _ => PositionScheme.CacheLazy,
        };
        CacheStrategyOptions options = new() { SinkTokens = sinks, CapacityTokens = Capacity, SlidingWindow = window, RecentTokens = recent, Rope = Rope, Shape = Shape };
        return CacheStrategies.Create(CacheUpdate.InPlace, scheme, options);
    }

    /// <summary><c>equip_positions</c>.</summary>
    private enum CachePositions
    {
        Original,
        Cache,
        TwoQuery,
        Lazy,
    }

    /// <summary>Queries that the caller rotated.</summary>
    private sealed class GivenQueries : IRotatedQueries
    {
        public float* Queries { get; set; }

        public float* At(int rotation) => Queries;
    }
}
