using System.Diagnostics;
using System.Runtime.CompilerServices;
using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;
using Equip.Kernels.Linear;
using Equip.Kernels.Memory;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;
using Equip.Model.Config;
using Equip.Model.Pruning;

namespace Equip.Model.Transformer;

/// <summary>Receives the logits <c>[count, vocabulary]</c> of prompt tokens [first, first + count).</summary>
public delegate void LogitsHandler(int first, int count, ReadOnlySpan<float> logits);

/// <summary>
/// Runs a model on the CPU: prompts in chunks, layer by layer, and decode steps for a batch of sequences that share every read
/// of the weights. One thread at a time; decode steps allocate nothing once warm.
/// </summary>
public sealed unsafe partial class CpuExecutor : IDisposable
{
    private const int GrowingPageTokens = 256;

    private readonly ModelConfig _config;
    private readonly ModelWeights _weights;
    private readonly RopeTable _rope;
    private readonly RankAngles _keyAngles;
    private readonly Activations _activations;
    private readonly RotatedQueries _rotatedQueries;
    private readonly OutputProjection _outputProjection;
    private readonly Dictionary<(int PageTokens, DataType Type), PagePool> _pools = [];
    private float[] _residual = [];
    private int[] _rotations = [];
    private int[] _slots = [];
    private AttentionRun[] _runs = [];
    private int[] _firstRun = [];
    private float[] _columnWeights = [];
    private readonly ScratchBuffer _scratch = new();
    private long _evictionTicks;
    private long _attentionTicks;

    /// <summary>Makes an executor; model and context stay the caller's.</summary>
    public CpuExecutor(LanguageModel model, KernelContext context)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(context);
        Model = model;
        Context = context;
        _config = model.Config;
        _weights = model.Weights;
        _rope = new RopeTable(_config.Rope);
        _keyAngles = new RankAngles(_rope);
        _activations = new Activations(_config, _rope.Pairs);
        _outputProjection = new OutputProjection(context, _weights.Layers.Select(layer => layer.Output), _config.Heads, _config.KvHeads);
        _rotatedQueries = new RotatedQueries(_rope, _config.Heads / _config.KvHeads);
        _filtered = new FilterStatistics(_config.Layers);
        _routing = _config.Mixture is { } mixture ? new ExpertRouting(mixture) : null;
        _channelScratch = new ChannelScratch(_config.WidestFeedForward);
    }

    /// <summary>The model.</summary>
    public LanguageModel Model { get; }

    /// <summary>Path and threads.</summary>
    public KernelContext Context { get; }

    /// <summary>Time spent so far in eviction work (choosing slots, writing rows, moving or rotating kept keys); what attention gives policies beside its output is not in it.</summary>
    public TimeSpan EvictionTime => Stopwatch.GetElapsedTime(0, _evictionTicks);

    /// <summary>Time spent so far in the attention of decode steps. With <see cref="EvictionTime"/> it is all that depends on the cache.</summary>
    public TimeSpan AttentionTime => Stopwatch.GetElapsedTime(0, _attentionTicks);

    /// <summary>An empty sequence.</summary>
    /// <exception cref="ArgumentException">An option is out of its range, or the combination is not supported.</exception>
    public Sequence CreateSequence(CacheOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options = options with { Channels = options.Channels?.Resolve() };
        if (options.Ratio != 0) throw new ArgumentException($"ratio: got {options.Ratio}, expected a budget (CacheOptions.ForPrompt makes one for a prompt)", nameof(options));
        options = options with { Filter = CheckFilter(options) };
        PolicyOptions policyOptions = options.ForPolicy();
        IEvictionPolicy policy = EvictionPolicies.Create(options.Policy, policyOptions);
        if (options.PageTokens < 0) throw new ArgumentOutOfRangeException(nameof(options), options.PageTokens, $"page: got {options.PageTokens}, expected 0 or more");
        int capacity = policy.CapacityTokens;
        bool window = policy.Mask.Window > 0;
        int page = options.PageTokens > 0 ? options.PageTokens : policy.PageTokens > 0 ? policy.PageTokens : capacity > 0 ? capacity : GrowingPageTokens;
        if (options.Update != CacheUpdate.InPlace && capacity > 0 && page < capacity)
            throw new ArgumentException($"update: got {options.Update} with pages of {page}, but the baselines keep their {capacity} rows in one page", nameof(options));
        PositionScheme positions = CacheStrategies.Resolve(options.Positions ?? (window ? PositionScheme.Cache : PositionScheme.Original), window);
        if (policy.Scoring is not null && positions != PositionScheme.Original)
            throw new ArgumentException($"positions: got {positions}, but {options.Policy} keeps original positions", nameof(options));
        CacheStrategyOptions strategyOptions = new()
        {
            SinkTokens = options.Sinks,
            CapacityTokens = capacity,
            SlidingWindow = window,
            RecentTokens = policy.RecentTokens,
            Rope = _rope,
            KeyAngles = _keyAngles,
            Shape = new AttentionShape(_config.Heads, _config.KvHeads, _config.HeadDim, options.KvType),
            Scratch = _scratch,
        };
        CacheStrategy strategy = CacheStrategies.Create(options.Update, positions, strategyOptions);
        if (!_pools.TryGetValue((page, options.KvType), out PagePool? pool))
            _pools[(page, options.KvType)] = pool = new PagePool(page, _config.HeadDim, options.KvType);
        SequenceCache cache = new(pool, _config.Layers, _config.KvHeads);
        return new Sequence(
            this, options.Resolve(policy) with { PageTokens = page, Positions = positions }, cache, strategy,
            () => EvictionPolicies.Create(options.Policy, policyOptions), () => CreateFilter(options), () => CreateChannels(options));
    }

    /// <summary>Appends one token to each of several sequences; they share the weight reads.</summary>
    /// <param name="sequences">Different sequences of this executor.</param>
    /// <param name="tokens">One a sequence.</param>
    /// <param name="logits"><c>[sequences, vocabulary]</c>.</param>
    /// <exception cref="ArgumentException">A token is outside the vocabulary, or a length does not fit; nothing was done.</exception>
    public void Decode(ReadOnlySpan<Sequence> sequences, ReadOnlySpan<int> tokens, Span<float> logits)
    {
        CheckStep(sequences, tokens, logits);
        int batch = sequences.Length;
        Span<float> x = BeginStep(sequences, tokens);
        for (int layer = 0; layer < _config.Layers; layer++)
        {
            LayerWeights weights = _weights.Layers[layer];
            RmsNorm.Normalize(Context, x, weights.AttentionNorm, _config.RmsNormEpsilon, _activations.Normed(batch), batch);
            ProjectKeyValue(weights, batch);
            ReadOnlySpan<Sequence> attending = Filter(layer, sequences);
            RotateKeys(layer, sequences);
            Insert(layer, sequences);
            Attention(layer, attending, x);
            FeedForward(layer, sequences, x, batch, _feedsPrompt);
            CountTraffic(layer, sequences, attending);
        }

        ComputeLogits(x, logits, batch);
        EndStep(sequences);
    }

    /// <summary>Frees the buffers. Sequences are disposed of first.</summary>
    public void Dispose()
    {
        _activations.Dispose();
        _rotatedQueries.Dispose();
        _promptKeys?.Dispose();
        _promptValues?.Dispose();
        _promptStoredKeys?.Dispose();
        _scratch.Dispose();
        _channelCopies.Dispose();
        foreach (PagePool pool in _pools.Values) pool.Dispose();
    }

    /// <summary>Looks the tokens up.</summary>
    private Span<float> BeginStep(ReadOnlySpan<Sequence> sequences, ReadOnlySpan<int> tokens)
    {
        _activations.Reserve(sequences.Length);
        foreach (Sequence sequence in sequences) sequence.Inconsistent = true;
        return Embed(tokens);
    }

    /// <summary>Rotates the step's keys. Their angles are those of the layer before, unless filtered tokens have left the layers with different positions.</summary>
    private void RotateKeys(int layer, ReadOnlySpan<Sequence> sequences)
    {
        int batch = sequences.Length;
        Grow(ref _rotations, batch);
        bool changed = layer == 0;
        for (int i = 0; i < batch; i++)
        {
            int rotation = sequences[i].Strategy.KeyRotation(sequences[i].PositionIn(layer));
            changed |= rotation != _rotations[i];
            _rotations[i] = rotation;
        }

        if (changed) FillAngles(sequences);
        Rotate(_activations.Key(batch), _activations.Key(batch), _config.KvHeads, batch);
    }

    private void FillAngles(ReadOnlySpan<Sequence> sequences)
    {
        int batch = sequences.Length;
        Span<float> cos = _activations.Cos(batch), sin = _activations.Sin(batch);
        _rope.Fill(_rotations.AsSpan(0, batch), cos, sin);
        for (int i = 0; i < batch; i++)
        {
            // Not even yarn's attention factor: it comes with the rotation that these keys get later.
            if (!sequences[i].Strategy.StoresUnrotatedKeys) continue;
            cos.Slice(i * _rope.Pairs, _rope.Pairs).Fill(1);
            sin.Slice(i * _rope.Pairs, _rope.Pairs).Clear();
        }
    }

    private static void EndStep(ReadOnlySpan<Sequence> sequences)
    {
        foreach (Sequence sequence in sequences)
        {
            sequence.Tokens++;
            sequence.Inconsistent = false;
        }
    }

    /// <summary>x[i] = embedding[tokens[i]].</summary>
    private Span<float> Embed(ReadOnlySpan<int> tokens)
    {
        int hidden = _config.HiddenSize;
        Grow(ref _residual, checked(tokens.Length * hidden));
        WeightMatrix embedding = _weights.Embedding;
        for (int i = 0; i < tokens.Length; i++)
        {
            byte* row = (byte*)embedding.Data + ((long)tokens[i] * hidden * embedding.Type.Size());
            Conversion.Widen(Context.Isa, row, embedding.Type, _residual.AsSpan(i * hidden, hidden));
        }

        return _residual.AsSpan(0, tokens.Length * hidden);
    }

    /// <summary>q of the normed rows, with bias and head norm where the family has them; not rotated yet.</summary>
    private void ProjectQuery(LayerWeights weights, int rows)
    {
        Span<float> query = _activations.Query(rows);
        LinearLayer.Multiply(Context, weights.Query, _activations.Normed(rows), query, rows, weights.QueryBias);
        if (weights.QueryNorm is { } norm) RmsNorm.Normalize(Context, query, norm, _config.RmsNormEpsilon, query, rows * _config.Heads);
    }

    /// <summary>k and v of the normed rows, likewise.</summary>
    private void ProjectKeyValue(LayerWeights weights, int rows)
    {
        Span<float> key = _activations.Key(rows);
        LinearLayer.Multiply(Context, weights.Key, _activations.Normed(rows), key, rows, weights.KeyBias);
        LinearLayer.Multiply(Context, weights.Value, _activations.Normed(rows), _activations.Value(rows), rows, weights.ValueBias);
        if (weights.KeyNorm is { } norm) RmsNorm.Normalize(Context, key, norm, _config.RmsNormEpsilon, key, rows * _config.KvHeads);
    }

    /// <summary>Rotates rows <c>[rows, heads, headDim]</c> by the angles of the step.</summary>
    private void Rotate(ReadOnlySpan<float> input, Span<float> output, int heads, int rows)
        => RopeRotation.Rotate(Context, _rope, input, output, _activations.Cos(rows), _activations.Sin(rows), rows, heads);

    /// <summary>
    /// Evict and insert: the policy names a slot per KV head, and the new K and V rows are written into it. A filtered token that does not
    /// enter the cache evicts nothing.
    /// </summary>
    private void Insert(int layer, ReadOnlySpan<Sequence> sequences)
    {
        long start = Stopwatch.GetTimestamp();
        int kvHeads = _config.KvHeads, width = kvHeads * _config.HeadDim;
        Grow(ref _slots, kvHeads);
        ReadOnlySpan<float> key = _activations.Key(sequences.Length), value = _activations.Value(sequences.Length);
        for (int i = 0; i < sequences.Length; i++)
        {
            bool skips = sequences[i].Filter is { Skips: true };
            if (skips && !sequences[i].Filter!.Appends) continue;
            ReadOnlySpan<HeadCache> heads = sequences[i].Cache.Layer(layer);
            int position = sequences[i].PositionIn(layer);
            sequences[i].Policy.ChooseSlots(heads, position, _slots.AsSpan(0, kvHeads));
            sequences[i].Strategy.Insert(Context, heads, _slots.AsSpan(0, kvHeads), key.Slice(i * width, width), value.Slice(i * width, width), position);
            if (skips) sequences[i].Policy.ObserveNothing(heads, position);
        }

        _evictionTicks += Stopwatch.GetTimestamp() - start;
    }

    /// <summary>Attention of every sequence's query over its live slots.</summary>
    private void Attend(int layer, ReadOnlySpan<Sequence> sequences)
    {
        long start = Stopwatch.GetTimestamp();
        int batch = sequences.Length, kvHeads = _config.KvHeads, written = 0, stride = ReserveColumnWeights(layer, sequences);
        Grow(ref _firstRun, (batch * kvHeads) + 1);
        float* queries = (float*)Unsafe.AsPointer(ref _activations.Query(batch)[0]);
        int groupWidth = _config.Heads / kvHeads * _config.HeadDim;
        _rotatedQueries.BeginLayer(Context);
        for (int i = 0; i < batch; i++)
        {
            ReadOnlySpan<HeadCache> heads = sequences[i].Cache.Layer(layer);
            bool observe = sequences[i].Policy.ObservesAttention;
            if (sequences[i].Strategy.AttendsAlone)
            {
                for (int head = 0; head < kvHeads; head++) _firstRun[(i * kvHeads) + head] = written;
                continue;
            }

            for (int head = 0; head < kvHeads; head++)
            {
                Grow(ref _runs, written + sequences[i].Strategy.MaxRuns(heads[head]));
                _firstRun[(i * kvHeads) + head] = written;
                _rotatedQueries.Select(queries + (((i * kvHeads) + head) * groupWidth));
                float* columnWeights = observe ? ColumnWeights(stride, i, head) : null;
                written += sequences[i].Strategy.WriteRuns(heads[head], sequences[i].PositionIn(layer), _rotatedQueries, columnWeights, _runs.AsSpan(written));
            }
        }

        _firstRun[batch * kvHeads] = written;
        if (written > 0) DecodeAttention.Attend(Context, Shape(sequences[0]), _runs.AsSpan(0, written), _firstRun.AsSpan(0, (batch * kvHeads) + 1), _activations.Attended(batch), _keyAngles);
        AttendAlone(layer, sequences, stride);
        _attentionTicks += Stopwatch.GetTimestamp() - start;
    }

    /// <summary>The sequences whose strategy makes its own tensors, one by one.</summary>
    private void AttendAlone(int layer, ReadOnlySpan<Sequence> sequences, int stride)
    {
        int batch = sequences.Length, width = _config.Heads * _config.HeadDim;
        for (int i = 0; i < batch; i++)
        {
            Sequence sequence = sequences[i];
            if (!sequence.Strategy.AttendsAlone) continue;
            float* columnWeights = sequence.Policy.ObservesAttention ? ColumnWeights(stride, i, 0) : null;
            sequence.Strategy.Attend(Context, sequence.Cache.Layer(layer), sequence.PositionIn(layer), _activations.Query(batch).Slice(i * width, width), columnWeights, stride, _activations.Attended(batch).Slice(i * width, width));
        }
    }

    private AttentionShape Shape(Sequence sequence) => new(_config.Heads, _config.KvHeads, _config.HeadDim, sequence.Options.KvType);

    private void ComputeLogits(Span<float> x, Span<float> logits, int rows)
    {
        Span<float> normed = _activations.Normed(rows);
        RmsNorm.Normalize(Context, x, _weights.FinalNorm, _config.RmsNormEpsilon, normed, rows);
        LinearLayer.Multiply(Context, _weights.Head, normed, logits, rows);
    }

    private void CheckStep(ReadOnlySpan<Sequence> sequences, ReadOnlySpan<int> tokens, Span<float> logits)
    {
        if (sequences.IsEmpty) throw new ArgumentException("sequences: got none, expected at least one", nameof(sequences));
        if (tokens.Length != sequences.Length) throw new ArgumentException($"tokens: got {tokens.Length}, expected one for each of {sequences.Length} sequences", nameof(tokens));
        if (logits.Length < (long)sequences.Length * _config.VocabularySize)
            throw new ArgumentException($"logits: got {logits.Length} elements, expected {sequences.Length} x {_config.VocabularySize}", nameof(logits));
        foreach (Sequence sequence in sequences)
        {
            CheckSequence(sequence, 1);
            if (sequence.Unfinished is not null) throw new InvalidOperationException("sequence: its prompt is unfinished; expected its last part (final), or Reset");
        }

        CheckTogether(sequences, "step");
        CheckTokens(tokens);
    }

    private static void CheckTogether(ReadOnlySpan<Sequence> sequences, string what)
    {
        for (int i = 0; i < sequences.Length; i++)
        {
            if (sequences[i].Options.KvType != sequences[0].Options.KvType)
                throw new ArgumentException($"sequences: KV types {sequences[0].Options.KvType} and {sequences[i].Options.KvType} cannot share a {what}", nameof(sequences));
            for (int j = 0; j < i; j++)
                if (ReferenceEquals(sequences[i], sequences[j])) throw new ArgumentException($"sequences: {j} and {i} are the same", nameof(sequences));
        }
    }

    private void CheckSequence(Sequence sequence, int tokens)
    {
        ArgumentNullException.ThrowIfNull(sequence);
        ObjectDisposedException.ThrowIf(sequence.Disposed, sequence);
        if (!ReferenceEquals(sequence.Owner, this)) throw new ArgumentException("sequence: belongs to another executor", nameof(sequence));
        if (sequence.Inconsistent) throw new InvalidOperationException("sequence: an earlier step failed half-way; call Reset");
        if (sequence.Tokens > int.MaxValue - tokens) throw new ArgumentException($"sequence: {sequence.Tokens} tokens seen, {tokens} more exceed {int.MaxValue}", nameof(sequence));
    }

    private void CheckTokens(ReadOnlySpan<int> tokens)
    {
        foreach (int token in tokens)
            if ((uint)token >= (uint)_config.VocabularySize) throw new ArgumentOutOfRangeException(nameof(tokens), token, $"token: got {token}, expected 0 to {_config.VocabularySize - 1}");
    }

    private static void Grow<T>(ref T[] array, int length)
    {
        // Pinned: pointers into these arrays are handed to kernels.
        if (array.Length >= length) return;
        T[] grown = GC.AllocateUninitializedArray<T>(Math.Max(length, array.Length * 2), pinned: true);
        array.CopyTo(grown, 0);
        array = grown;
    }
}
