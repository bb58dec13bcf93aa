using System.Diagnostics;
using Equip.Kernels.Linear;
using Equip.Kernels.Numerics;
using Equip.Model.Pruning;

namespace Equip.Model.Transformer;

/// <content>
/// Feed-forward blocks: one a layer, or a router and experts; whole, or only the channels that a sequence has chosen. In a prompt all
/// rows are tokens of every sequence and are computed whole; in a decode step row i belongs to sequence i.
/// </content>
public sealed unsafe partial class CpuExecutor
{
    private readonly ExpertRouting? _routing;
    private readonly ChannelScratch _channelScratch;
    private readonly BufferPool _channelCopies = new();
    private float[] _routerLogits = [];
    private float[] _expertInput = [];
    private float[] _expertOutput = [];
    private bool _feedsPrompt;
    private FeedForwardTraffic _counted;
    private TimeSpan _choosing;

    /// <summary>Bytes kept of channels that earlier sequences had copied, for the next one.</summary>
    public long IdleCopyBytes => _channelCopies.IdleBytes;

    /// <summary>What the feed-forward blocks of decode steps have cost so far.</summary>
    public FeedForwardTraffic FeedForwardTraffic { get; private set; }

    /// <summary>x += block(norm(x)).</summary>
    private void FeedForward(int layer, ReadOnlySpan<Sequence> sequences, Span<float> x, int rows, bool prompt)
    {
        long start = Stopwatch.GetTimestamp();
        _choosing = TimeSpan.Zero;
        LayerWeights weights = _weights.Layers[layer];
        Span<float> normed = _activations.Normed(rows);
        RmsNorm.Normalize(Context, x, weights.FeedForwardNorm, _config.RmsNormEpsilon, normed, rows);
        Part part = new() { Layer = layer, IsPrompt = prompt, Sequences = sequences };
        if (weights.Mixture is { } mixture) MixExperts(part, mixture, normed, x, rows);
        else RunBlock(part, weights.FeedForward!, normed, x, rows, accumulate: true);
        if (!prompt) FeedForwardTraffic = FeedForwardTraffic with { Time = FeedForwardTraffic.Time + Stopwatch.GetElapsedTime(start) - _choosing, Tokens = FeedForwardTraffic.Tokens + (layer == 0 ? rows : 0) };
    }

    /// <summary>x[i] += sum over the experts e of row i of weight * block e(normed[i]), and the shared expert's.</summary>
    private void MixExperts(Part part, MixtureWeights mixture, ReadOnlySpan<float> normed, Span<float> x, int rows)
    {
        int experts = mixture.Experts.Length;
        Grow(ref _routerLogits, rows * Math.Max(experts, 1));
        Span<float> logits = _routerLogits.AsSpan(0, rows * experts);
        LinearLayer.Multiply(Context, mixture.Router, normed, logits, rows);
        _routing!.Route(logits, rows);
        long routers = mixture.Router.Bytes;
        for (int expert = 0; expert < experts; expert++)
            AddExpert(part with { Block = expert, Rows = _routing.Rows(expert) }, mixture.Experts[expert], normed, _routing.Weights(expert), x);
        if (mixture.Shared is { } shared)
        {
            routers += mixture.SharedGate.Bytes;
            Span<float> weights = _routerLogits.AsSpan(0, rows);
            LinearLayer.Multiply(Context, mixture.SharedGate, normed, weights, rows);
            foreach (ref float weight in weights) weight = 1 / (1 + MathF.Exp(-weight));
            Grow(ref _expertOutput, rows * _config.HiddenSize);
            RunBlock(part with { Block = experts }, shared, normed, _expertOutput.AsSpan(0, rows * _config.HiddenSize), rows, accumulate: false);
            AddRows(part, weights, x, rows);
        }

        if (!part.IsPrompt) CountFeedForward(rows * routers, rows * routers);
    }

    /// <summary>The rows of one expert are moved together, so that they share every read of its weights.</summary>
    private void AddExpert(Part part, FeedForwardWeights block, ReadOnlySpan<float> normed, ReadOnlySpan<float> weights, Span<float> x)
    {
        int rows = part.Rows.Length, hidden = _config.HiddenSize;
        if (rows == 0) return;
        Grow(ref _expertInput, rows * hidden);
        Grow(ref _expertOutput, rows * hidden);
        for (int i = 0; i < rows; i++) normed.Slice(part.Rows[i] * hidden, hidden).CopyTo(_expertInput.AsSpan(i * hidden));
        RunBlock(part, block, _expertInput.AsSpan(0, rows * hidden), _expertOutput.AsSpan(0, rows * hidden), rows, accumulate: false);
        AddRows(part, weights, x, rows);
    }

    /// <summary>x[row i of the part] += weights[i] * the expert's output[i].</summary>
    private void AddRows(Part part, ReadOnlySpan<float> weights, Span<float> x, int rows)
    {
        int hidden = _config.HiddenSize;
        for (int i = 0; i < rows; i++)
        {
            ReadOnlySpan<float> output = _expertOutput.AsSpan(i * hidden, hidden);
            Span<float> sum = x.Slice(part.Row(i) * hidden, hidden);
            for (int d = 0; d < hidden; d++) sum[d] += weights[i] * output[d];
        }
    }

    /// <summary>output (+)= block(input), whole or the channels that each row's sequence has chosen.</summary>
    private void RunBlock(Part part, FeedForwardWeights block, ReadOnlySpan<float> input, Span<float> output, int rows, bool accumulate)
    {
        if (part.IsPrompt)
        {
            RunWhole(block, input, output, rows, accumulate);
            foreach (Sequence sequence in part.Sequences)
                if (sequence.Channels is { } channels) Show(channels.Of(part.Layer, part.Block), block, rows);
            return;
        }

        if (!AnyPruned(part, rows))
        {
            RunWhole(block, input, output, rows, accumulate);
            CountFeedForward(rows * block.Bytes, rows * block.Bytes);
            return;
        }

        int hidden = _config.HiddenSize;
        long bytes = 0;
        for (int i = 0; i < rows; i++) bytes += RunRow(part.Owner(i).Channels?.Of(part.Layer, part.Block), block, input.Slice(i * hidden, hidden), output.Slice(i * hidden, hidden), accumulate);
        CountFeedForward(bytes, rows * block.Bytes);
    }

    /// <summary>One row of a step in which some rows are pruned; returns the bytes read.</summary>
    private long RunRow(BlockChannels? channels, FeedForwardWeights block, ReadOnlySpan<float> input, Span<float> output, bool accumulate)
    {
        if (channels is { IsReady: true })
        {
            channels.Step(Context, _channelScratch, input, output, accumulate);
            FeedForwardTraffic = FeedForwardTraffic with { Kept = FeedForwardTraffic.Kept + channels.StepChannels, Channels = FeedForwardTraffic.Channels + block.Channels };
            return channels.StepBytes;
        }

        RunWhole(block, input, output, 1, accumulate);
        if (channels is null) return block.Bytes;
        Show(channels, block, 1);
        long start = Stopwatch.GetTimestamp();
        channels.EndPrompt(Context);
        _choosing += Stopwatch.GetElapsedTime(start);
        return block.Bytes;
    }

    /// <summary>output (+)= W_down (silu(W_gate input) * (W_up input)).</summary>
    private void RunWhole(FeedForwardWeights block, ReadOnlySpan<float> input, Span<float> output, int rows, bool accumulate)
    {
        Span<float> gate = _activations.Gate(rows)[..(rows * block.Channels)], up = _activations.Up(rows)[..(rows * block.Channels)];
        LinearLayer.Multiply(Context, block.Gate, input, gate, rows, block.GateBias);
        LinearLayer.Multiply(Context, block.Up, input, up, rows, block.UpBias);
        SwiGlu.Multiply(Context, gate, up, gate);
        LinearLayer.Multiply(Context, block.Down, gate, output, rows, block.DownBias, accumulate);
    }

    /// <summary>Shows a block's channels what <see cref="RunWhole"/> has left.</summary>
    private void Show(BlockChannels channels, FeedForwardWeights block, int rows)
        => channels.Observe(_activations.Gate(rows)[..(rows * block.Channels)], _activations.Up(rows)[..(rows * block.Channels)], rows);

    private SequenceChannels? CreateChannels(CacheOptions options) => options.Channels is { } channels ? new SequenceChannels(Context, channels, _weights, _channelCopies) : null;

    /// <summary>Counts what rows have read; a read that they share counts for each of them.</summary>
    private void CountFeedForward(long bytes, long denseBytes)
        => FeedForwardTraffic = FeedForwardTraffic with { Bytes = FeedForwardTraffic.Bytes + bytes, DenseBytes = FeedForwardTraffic.DenseBytes + denseBytes };

    private static bool AnyPruned(Part part, int rows)
    {
        for (int i = 0; i < rows; i++)
            if (part.Owner(i).Channels is not null) return true;
        return false;
    }

    /// <summary>Which rows of a step (or prompt chunk) a block is asked to compute.</summary>
    private ref struct Part
    {
        public int Layer, Block;
        public bool IsPrompt;
        public ReadOnlySpan<Sequence> Sequences;

        /// <summary>The rows; empty for all.</summary>
        public ReadOnlySpan<int> Rows;

        public readonly int Row(int i) => Rows.IsEmpty ? i : Rows[i];

        /// <summary>The sequence of a row of a decode step.</summary>
        public readonly Sequence Owner(int i) => Sequences[Row(i)];
    }
}
