using System.Diagnostics;
using Equip.Kernels.Attention;
using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;
using Equip.Kernels.Linear;
using Equip.Kernels.Memory;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;

namespace Equip.Model.Transformer;

/// <content>
/// Prompts. All tokens go through a layer, in chunks, before the next layer starts: the layer's K and V lie in one buffer in
/// order of age, cached rows first; after its attention the policy chooses the rows that enter the cache, and the buffer
/// serves the next layer. So the memory needed is the kept rows and one layer; a prompt fed in parts is held whole until its last one
/// (CpuExecutor.PromptParts.cs).
/// </content>
public sealed unsafe partial class CpuExecutor
{
    private const int ChunkTokens = 512;
    private const int LogitsElements = 1 << 22;

    private NativeBuffer? _promptKeys;
    private NativeBuffer? _promptValues;
    private NativeBuffer? _promptStoredKeys;
    private int[] _promptPositions = [];
    private int[] _promptRotations = [];
    private float[] _pastScores = [];
    private float[] _promptLogits = [];

    /// <summary>Appends tokens to a sequence.</summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="tokens">At least one token.</param>
    /// <param name="logits"><c>[vocabulary]</c> of the last token; empty if not wanted.</param>
    /// <param name="final">
    /// False if more of the same prompt follows: policies that prune after a prompt wait, and keep what they would keep of the prompt in one
    /// piece. Until then all its rows (and the queries that the policy scores by) are held. A sliding window prunes as it goes, with the
    /// same result.
    /// </param>
    /// <exception cref="ArgumentException">A token is outside the vocabulary, a length does not fit, or the cache cannot wait (<see cref="Sequence.TakesParts"/>); nothing was done.</exception>
    public void Prefill(Sequence sequence, ReadOnlySpan<int> tokens, Span<float> logits, bool final = true)
    {
        ArgumentNullException.ThrowIfNull(sequence);
        if (!final && !sequence.TakesParts)
            throw new ArgumentException($"final: got false, but {sequence.Strategy.Name} with cache positions stores keys that a later part cannot attend", nameof(final));
        Prefill([sequence], tokens, logits, final);
    }

    /// <summary>
    /// Gives several empty sequences the same prompt. It is computed once, as what a prompt's tokens see does not depend on what is pruned
    /// afterwards; then each policy keeps its rows of it.
    /// </summary>
    /// <param name="sequences">Sequences of this executor with the same KV type; if there are several, those that <see cref="Sequence.SharesPrompts"/>.</param>
    /// <param name="tokens">At least one token.</param>
    /// <param name="logits"><c>[vocabulary]</c> of the last token, the same for all; empty if not wanted.</param>
    /// <exception cref="ArgumentException">A token is outside the vocabulary, a length does not fit, or the sequences cannot share; nothing was done.</exception>
    public void Prefill(ReadOnlySpan<Sequence> sequences, ReadOnlySpan<int> tokens, Span<float> logits) => Prefill(sequences, tokens, logits, final: true);

    private void Prefill(ReadOnlySpan<Sequence> sequences, ReadOnlySpan<int> tokens, Span<float> logits, bool final)
    {
        if (!logits.IsEmpty && logits.Length < _config.VocabularySize)
            throw new ArgumentException($"logits: got {logits.Length} elements, expected {_config.VocabularySize} or none", nameof(logits));
        CheckPrompt(sequences, tokens);
        if (MustFeedOneByOne(sequences[0]))
        {
            FeedOneByOne(sequences[0], tokens, null);
            if (!logits.IsEmpty) _promptLogits.AsSpan(0, _config.VocabularySize).CopyTo(logits);
            return;
        }

        Span<float> x = RunPrompt(sequences, tokens, final);
        if (!logits.IsEmpty) ComputeLogits(x[^_config.HiddenSize..], logits, 1);
    }

    /// <summary>Appends tokens and hands over the logits of every one of them, part by part.</summary>
    /// <exception cref="ArgumentException">A token is outside the vocabulary; nothing was done.</exception>
    public void Prefill(Sequence sequence, ReadOnlySpan<int> tokens, LogitsHandler everyLogits)
    {
        ArgumentNullException.ThrowIfNull(everyLogits);
        CheckPrompt([sequence], tokens);
        if (MustFeedOneByOne(sequence))
        {
            FeedOneByOne(sequence, tokens, everyLogits);
            return;
        }

        Span<float> x = RunPrompt([sequence], tokens, final: true);
        int part = Math.Clamp(LogitsElements / _config.VocabularySize, 1, ChunkTokens);
        Grow(ref _promptLogits, part * _config.VocabularySize);
        for (int first = 0; first < tokens.Length; first += part)
        {
            int count = Math.Min(part, tokens.Length - first);
            Span<float> logits = _promptLogits.AsSpan(0, count * _config.VocabularySize);
            ComputeLogits(x.Slice(first * _config.HiddenSize, count * _config.HiddenSize), logits, count);
            everyLogits(first, count, logits);
        }
    }

    private void CheckPrompt(ReadOnlySpan<Sequence> sequences, ReadOnlySpan<int> tokens)
    {
        if (tokens.IsEmpty) throw new ArgumentException("tokens: got none, expected at least one", nameof(tokens));
        foreach (Sequence sequence in sequences) CheckSequence(sequence, tokens.Length);
        CheckSharing(sequences);
        CheckTokens(tokens);
    }

    /// <summary>
    /// Whether a further prompt cannot be attended in one pass: the strategy needs a rotation for every cached key, or the heads
    /// of a layer hold different tokens.
    /// </summary>
    private static bool MustFeedOneByOne(Sequence sequence)
    {
        if (sequence.Tokens == 0 || sequence.Unfinished is not null) return false;
        if (!sequence.Strategy.ExtendsEvictedCache) return true;
        for (int layer = 0; layer < sequence.Cache.Layers; layer++)
            foreach (HeadCache head in sequence.Cache.Layer(layer))
                if (head.Count != sequence.Cache.Layer(layer)[0].Count) return true;
        return false;
    }

    private void FeedOneByOne(Sequence sequence, ReadOnlySpan<int> tokens, LogitsHandler? everyLogits)
    {
        Grow(ref _promptLogits, _config.VocabularySize);
        Span<float> logits = _promptLogits.AsSpan(0, _config.VocabularySize);
        try
        {
            SetDense(sequence, true);
            _feedsPrompt = true;
            for (int i = 0; i < tokens.Length; i++)
            {
                Decode([sequence], tokens.Slice(i, 1), logits);
                everyLogits?.Invoke(i, 1, logits);
            }
        }
        finally
        {
            SetDense(sequence, false);
            _feedsPrompt = false;
        }

        sequence.Channels?.EndPrompt(tokens, final: true);
    }

    /// <summary>Runs the tokens through all layers and returns the residual stream <c>[tokens, hidden]</c>.</summary>
    private Span<float> RunPrompt(ReadOnlySpan<Sequence> sequences, ReadOnlySpan<int> tokens, bool final)
    {
        foreach (Sequence sequence in sequences) sequence.Inconsistent = true;
        if (!final) BeginPart(sequences[0]);
        Span<float> x = Embed(tokens);
        _activations.Reserve(Math.Min(tokens.Length, ChunkTokens));
        ReserveQueries(sequences, tokens.Length);
        for (int layer = 0; layer < _config.Layers; layer++) RunPromptLayer(layer, sequences, x, tokens.Length, final);
        foreach (Sequence sequence in sequences)
        {
            sequence.Channels?.EndPrompt(tokens, final);
            sequence.Tokens += tokens.Length;
            if (final) sequence.Unfinished = null;
            sequence.Inconsistent = false;
        }

        return x;
    }

    private void RunPromptLayer(int layer, ReadOnlySpan<Sequence> sequences, Span<float> x, int tokens, bool final)
    {
        // Those that share a prompt are all empty, so what is said of the rows is the same for all.
        Sequence sequence = sequences[0];
        LayerWeights weights = _weights.Layers[layer];
        int hidden = _config.HiddenSize, position = sequence.PositionIn(layer);
        Prompt prompt = GatherPast(layer, sequence, tokens);
        Span<float> columnSums = StartColumnSums(layer, sequences, prompt);
        for (int first = 0; first < tokens; first += ChunkTokens)
        {
            int count = Math.Min(ChunkTokens, tokens - first);
            Span<float> chunk = x.Slice(first * hidden, count * hidden);
            RmsNorm.Normalize(Context, chunk, weights.AttentionNorm, _config.RmsNormEpsilon, _activations.Normed(count), count);
            ProjectKeyValue(weights, count);
            ProjectQuery(weights, count);
            ObservePrompt(layer, sequences, first, count);
            if (sequence.Strategy.StoresUnrotatedKeys) StoreRows(sequence, prompt, _activations.Key(count), prompt.StoredKeys, prompt.Past + first, count);
            RotatePrompt(sequence, prompt, prompt.Past + first, position + first, count);
            StoreRows(sequence, prompt, prompt.Past + first, count);
            KeepQueries(tokens, first, count);
            AttendPrompt(sequence, prompt, prompt.Past + first, position + first, count, columnSums);
            LinearLayer.Multiply(Context, weights.Output, _activations.Attended(count), chunk, count, weights.OutputBias, accumulate: true);
            FeedForward(layer, sequences, chunk, count, prompt: true);
        }

        foreach (Sequence each in sequences)
        {
            if (each.Unfinished is { } part && !final) AddPart(layer, each, prompt, part, tokens, columnSums);
            else KeepRows(layer, each, prompt, tokens);
        }
    }

    /// <summary>Lays the cached rows of a layer out in order of age, with room for the new ones behind.</summary>
    private Prompt GatherPast(int layer, Sequence sequence, int tokens)
    {
        ReadOnlySpan<HeadCache> heads = sequence.Cache.Layer(layer);
        int past = heads[0].Count, rows = checked(past + tokens), rowBytes = _config.HeadDim * sequence.Options.KvType.Size();
        long bytes = (long)heads.Length * rows * rowBytes;
        byte* keys = Reserve(ref _promptKeys, bytes), values = Reserve(ref _promptValues, bytes);
        byte* storedKeys = sequence.Strategy.StoresUnrotatedKeys ? Reserve(ref _promptStoredKeys, bytes) : keys;

        Grow(ref _promptPositions, checked(heads.Length * rows));
        Grow(ref _promptRotations, heads.Length * rows);
        Grow(ref _pastScores, heads.Length * past);
        Prompt prompt = new() { Keys = keys, StoredKeys = storedKeys, Values = values, Past = past, Rows = rows, RowBytes = rowBytes };
        for (int head = 0; head < heads.Length && past > 0; head++)
        {
            HeadCache cache = heads[head];
            int[] order = AgeOrder(cache);
            for (int row = 0; row < past; row++)
            {
                Buffer.MemoryCopy(cache.Key(order[row]), prompt.Row(prompt.Keys, head, row), rowBytes, rowBytes);
                Buffer.MemoryCopy(cache.Value(order[row]), prompt.Row(prompt.Values, head, row), rowBytes, rowBytes);
                _pastScores[(head * past) + row] = cache.Scores[order[row]];
                _promptPositions[(head * rows) + row] = cache.Positions[order[row]];
                _promptRotations[(head * rows) + row] = cache.Rotations[order[row]];
            }
        }

        return prompt;
    }

    private static byte* Reserve(ref NativeBuffer? buffer, long bytes)
    {
        if (buffer is null || buffer.Length < bytes)
        {
            buffer?.Dispose();
            buffer = new NativeBuffer(bytes);
        }

        return (byte*)buffer.Pointer;
    }

    /// <summary>The live slots of a head, oldest token first.</summary>
    private static int[] AgeOrder(HeadCache cache)
    {
        List<int> slots = new(cache.Count);
        for (int page = 0; page < cache.PageCount; page++)
            for (int row = 0; row < cache.LiveInPage(page); row++) slots.Add((page * cache.PageTokens) + row);
        int[] order = [.. slots];
        int[] positions = Array.ConvertAll(order, slot => cache.Positions[slot]);
        Array.Sort(positions, order);
        return order;
    }

    /// <summary>Rotates a chunk's keys and queries, and its queries for the sinks where those are another copy.</summary>
    private void RotatePrompt(Sequence sequence, in Prompt prompt, int firstRow, int position, int count)
    {
        Grow(ref _rotations, count);
        for (int i = 0; i < count; i++)
        {
            _rotations[i] = position + i;
            for (int head = 0; head < _config.KvHeads; head++)
            {
                _promptPositions[(head * prompt.Rows) + firstRow + i] = position + i;
                _promptRotations[(head * prompt.Rows) + firstRow + i] = sequence.Strategy.StoresUnrotatedKeys ? 0 : position + i;
            }
        }

        _rope.Fill(_rotations.AsSpan(0, count), _activations.Cos(count), _activations.Sin(count));
        Rotate(_activations.Key(count), _activations.Key(count), _config.KvHeads, count);
        Rotate(_activations.Query(count), _activations.RotatedQuery(count), _config.Heads, count);
        if (!NeedsSinkQueries(sequence, position + count - 1)) return;
        for (int i = 0; i < count; i++) _rotations[i] = sequence.Strategy.SinkQueryRotation(position + i);
        _rope.Fill(_rotations.AsSpan(0, count), _activations.SinkCos(count), _activations.SinkSin(count));
        RopeRotation.Rotate(Context, _rope, _activations.Query(count), _activations.SinkQuery(count), _activations.SinkCos(count), _activations.SinkSin(count), count, _config.Heads);
    }

    private static bool NeedsSinkQueries(Sequence sequence, int lastPosition)
        => sequence.Policy.Mask.Window > 0 && sequence.Strategy.SinkQueryRotation(lastPosition) != lastPosition;

    /// <summary>Converts a chunk's K and V to the cache's type, head by head.</summary>
    private void StoreRows(Sequence sequence, in Prompt prompt, int firstRow, int count)
    {
        StoreRows(sequence, prompt, _activations.Key(count), prompt.Keys, firstRow, count);
        StoreRows(sequence, prompt, _activations.Value(count), prompt.Values, firstRow, count);
    }

    /// <summary>Converts <c>[count, kvHeads, headDim]</c> to rows of <c>[kvHeads, rows, headDim]</c>.</summary>
    private void StoreRows(Sequence sequence, in Prompt prompt, ReadOnlySpan<float> source, byte* destination, int firstRow, int count)
    {
        int kvHeads = _config.KvHeads, headDim = _config.HeadDim;
        for (int i = 0; i < count; i++)
            for (int head = 0; head < kvHeads; head++)
                Conversion.Narrow(Context.Isa, source.Slice(((i * kvHeads) + head) * headDim, headDim), prompt.Row(destination, head, firstRow + i), sequence.Options.KvType);
    }

    private void AttendPrompt(Sequence sequence, in Prompt prompt, int firstRow, int position, int count, Span<float> columnSums)
    {
        PromptMask mask = sequence.Policy.Mask;
        PrefillKeys keys = new()
        {
            Keys = prompt.Keys,
            Values = prompt.Values,
            HeadStride = prompt.Rows,
            Past = firstRow,
            Window = mask.Window,
            Sinks = mask.Sinks,
        };
        Span<float> sinkQueries = NeedsSinkQueries(sequence, position + count - 1) ? _activations.SinkQuery(count) : default;
        PrefillAttention.Attend(Context, Shape(sequence), _activations.RotatedQuery(count), sinkQueries, keys, _activations.Attended(count), count, columnSums);
    }

    /// <summary>The rows that the policy keeps enter the cache.</summary>
    private void KeepRows(int layer, Sequence sequence, in Prompt prompt, int tokens)
    {
        long start = Stopwatch.GetTimestamp();
        int past = prompt.Past, queryTokens = Math.Min(sequence.Policy.PromptQueryTokens, tokens);
        ReadOnlyMemory<float> pastScores = _pastScores.AsMemory(0, _config.KvHeads * past);
        ReadOnlySpan<float> kept = KeptQueries(sequence, queryTokens);
        if (sequence.Unfinished is { } part)
        {
            pastScores = part.PastScores(pastScores, _config.KvHeads, layer);
            past = part.Past[layer];
            kept = part.AddQueries(layer, kept, sequence.Policy.PromptQueryTokens);
            queryTokens = kept.Length / (_config.Heads * _config.HeadDim);
            part.Remove(sequence.Cache.Layer(layer));
        }

        fixed (float* queries = kept)
        {
            sequence.Policy.AfterPromptLayer(
                new PromptLayer
                {
                    Context = Context,
                    Layer = layer,
                    Shape = Shape(sequence),
                    Keys = prompt.Keys,
                    StoredKeys = prompt.StoredKeys,
                    Values = prompt.Values,
                    Rows = prompt.Rows,
                    Past = past,
                    Positions = _promptPositions.AsMemory(0, _config.KvHeads * prompt.Rows),
                    Rotations = _promptRotations.AsMemory(0, _config.KvHeads * prompt.Rows),
                    PastScores = pastScores,
                    Queries = queries,
                    QueryTokens = queryTokens,
                    ColumnSums = sequence.Policy.WantsColumnSums ? _columnSums.AsMemory(0, _config.KvHeads * prompt.Rows) : default,
                    Heads = sequence.Cache.LayerMemory(layer),
                    Output = _outputProjection,
                    Rope = _rope,
                },
                sequence.Cache);
        }

        sequence.Strategy.AfterPrompt(Context, sequence.Cache.Layer(layer));
        _evictionTicks += Stopwatch.GetTimestamp() - start;
    }

    /// <summary>K and V of one layer, <c>[kvHeads, rows, headDim]</c> in the cache's type, in order of age.</summary>
    private readonly struct Prompt
    {
        public required byte* Keys { get; init; }

        /// <summary>The keys that enter the cache: <see cref="Keys"/>, or their unrotated form.</summary>
        public required byte* StoredKeys { get; init; }

        public required byte* Values { get; init; }

        /// <summary>Rows that were in the cache already.</summary>
        public required int Past { get; init; }

        public required int Rows { get; init; }

        public required int RowBytes { get; init; }

        /// <summary>A row of <paramref name="part"/>: keys, stored keys or values.</summary>
        public byte* Row(byte* part, int head, int row) => part + ((((long)head * Rows) + row) * RowBytes);
    }
}
