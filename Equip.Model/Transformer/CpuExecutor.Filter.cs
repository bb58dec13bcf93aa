using System.Diagnostics;
using Equip.Kernels.KvCache;
using Equip.Kernels.Linear;
using Equip.Model.Pruning;

namespace Equip.Model.Transformer;

/// <content>
/// Token Filtering: a filtered sequence has no query, no attention and no output projection in that layer. The rows of the others are
/// moved together, so that they still share every read of the weights; if none is left, those weights are not read at all.
/// </content>
public sealed unsafe partial class CpuExecutor
{
    private readonly FilterStatistics _filtered;
    private Sequence[] _attending = [];
    private int[] _attendingRows = [];
    private long _filterTicks;
    private long _attentionBlockTicks;

    /// <summary>What Token Filtering has done so far, all sequences together.</summary>
    public FilterStatistics Filtered => _filtered.Copy();

    /// <summary>Time spent so far in decode steps deciding which tokens are filtered.</summary>
    public TimeSpan FilterTime => Stopwatch.GetElapsedTime(0, _filterTicks);

    /// <summary>Time spent so far in decode steps on what a filtered token skips: query projection, attention, output projection.</summary>
    public TimeSpan AttentionBlockTime => Stopwatch.GetElapsedTime(0, _attentionBlockTicks);

    /// <summary>What decode steps have read so far.</summary>
    public StepTraffic Traffic { get; private set; }

    /// <summary>The filter asked for, or null if it filters nothing.</summary>
    private TokenFilterOptions? CheckFilter(CacheOptions options)
    {
        if (options.Filter is not { } filter) return null;
        filter.Check();
        _ = filter.Schedule.Rates(_config.Layers, filter.Ratio);
        if (filter.Ratio == 0) return null;
        if (!filter.Appends && options.Update != CacheUpdate.InPlace)
            throw new ArgumentException($"update: got {options.Update}, but a filter that leaves tokens out of the cache needs InPlace: the baselines evict at every step", nameof(options));
        return filter;
    }

    private TokenFilter? CreateFilter(CacheOptions options) => options.Filter is { } filter ? new TokenFilter(filter, _config, _rope, Context, _filtered) : null;

    private static void SetDense(Sequence sequence, bool dense)
    {
        if (sequence.Filter is { } filter) filter.Dense = dense;
    }

    /// <summary>Shows the filters the K and V of prompt tokens [first, first + count), before they are rotated.</summary>
    private void ObservePrompt(int layer, ReadOnlySpan<Sequence> sequences, int first, int count)
    {
        if (!AnyFilter(sequences)) return;
        int width = _config.KvHeads * _config.HeadDim;
        ReadOnlySpan<float> key = _activations.Key(count), value = _activations.Value(count);
        foreach (Sequence sequence in sequences)
            for (int i = 0; sequence.Filter is { } filter && i < count; i++)
                filter.Observe(layer, key.Slice(i * width, width), value.Slice(i * width, width), sequence.Tokens + first + i);
    }

    /// <summary>The sequences that attend in this layer, and their normed rows moved together in this order.</summary>
    private ReadOnlySpan<Sequence> Filter(int layer, ReadOnlySpan<Sequence> sequences)
    {
        int batch = sequences.Length, width = _config.KvHeads * _config.HeadDim, count = 0;
        if (!AnyFilter(sequences)) return sequences;
        long start = Stopwatch.GetTimestamp();
        if (_attending.Length < batch) Array.Resize(ref _attending, batch);
        Grow(ref _attendingRows, batch);
        ReadOnlySpan<float> key = _activations.Key(batch), value = _activations.Value(batch);
        for (int i = 0; i < batch; i++)
        {
            if (sequences[i].Filter is { } filter && filter.Decide(layer, key.Slice(i * width, width), value.Slice(i * width, width), sequences[i].Tokens)) continue;
            _attending[count] = sequences[i];
            _attendingRows[count++] = i;
        }

        if (count < batch) MoveRows(_activations.Normed(batch), _activations.Normed(batch), count, gather: true);
        _filterTicks += Stopwatch.GetTimestamp() - start;
        return count < batch ? _attending.AsSpan(0, count) : sequences;
    }

    private static bool AnyFilter(ReadOnlySpan<Sequence> sequences)
    {
        foreach (Sequence sequence in sequences)
            if (sequence.Filter is not null) return true;
        return false;
    }

    /// <summary>x += W_O attention(q), for the rows of the sequences that attend.</summary>
    private void Attention(int layer, ReadOnlySpan<Sequence> attending, Span<float> x)
    {
        int rows = attending.Length;
        if (rows == 0) return;
        long start = Stopwatch.GetTimestamp();
        LayerWeights weights = _weights.Layers[layer];
        ProjectQuery(weights, rows);
        Attend(layer, attending);
        Observe(layer, attending);
        bool all = rows * _config.HiddenSize == x.Length;
        // The normed rows have served: the residual rows of those who attend stand together in their place.
        Span<float> residual = all ? x : _activations.Normed(rows);
        if (!all) MoveRows(x, residual, rows, gather: true);
        LinearLayer.Multiply(Context, weights.Output, _activations.Attended(rows), residual, rows, weights.OutputBias, accumulate: true);
        if (!all) MoveRows(residual, x, rows, gather: false);
        _attentionBlockTicks += Stopwatch.GetTimestamp() - start;
    }

    /// <summary>Gathers the attending rows <c>[_, hidden]</c> to the front of the destination, or scatters them back. Ascending, so it works in place.</summary>
    private void MoveRows(ReadOnlySpan<float> source, Span<float> destination, int count, bool gather)
    {
        int hidden = _config.HiddenSize;
        for (int i = 0; i < count; i++)
        {
            int row = _attendingRows[i];
            source.Slice((gather ? row : i) * hidden, hidden).CopyTo(destination.Slice((gather ? i : row) * hidden, hidden));
        }
    }

    /// <summary>Adds what the tokens of a step have read in a layer, and what they would have read, had nothing been left out.</summary>
    private void CountTraffic(int layer, ReadOnlySpan<Sequence> sequences, ReadOnlySpan<Sequence> attending)
    {
        LayerWeights weights = _weights.Layers[layer];
        long always = weights.Key.Bytes + weights.Value.Bytes + (layer == 0 ? _weights.Head.Bytes : 0), attention = weights.Query.Bytes + weights.Output.Bytes;
        FeedForwardTraffic feedForward = FeedForwardTraffic.Since(_counted);
        _counted = FeedForwardTraffic;
        Traffic = Traffic.Add(
            layer == 0 ? sequences.Length : 0,
            (always * sequences.Length) + feedForward.Bytes + (attending.IsEmpty ? 0 : (attention * attending.Length) + LiveBytes(layer, attending)),
            ((always + attention) * sequences.Length) + feedForward.DenseBytes + LiveBytes(layer, sequences));
    }

    /// <summary>Bytes of the live K and V rows of a layer.</summary>
    private long LiveBytes(int layer, ReadOnlySpan<Sequence> sequences)
    {
        long rows = 0;
        foreach (Sequence sequence in sequences)
            foreach (HeadCache head in sequence.Cache.Layer(layer)) rows += head.Count;
        return 2 * rows * Shape(sequences[0]).RowBytes;
    }
}
