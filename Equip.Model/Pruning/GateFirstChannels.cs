using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.Linear;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;

namespace Equip.Model.Pruning;

/// <summary>
/// Per-token selection beyond POP: the gate of every channel is computed, then up and down only of the channels with the
/// largest |silu(gate)| times what the rest of the channel is expected to make of it. That is the column sum of |W_down| times the
/// root mean square of the channel's up over the prompt, or, without looking at the prompt, times the norm of its row of W_up.
/// No paper: the choice is this project's own. A share s of the channels reads (1 + 2 s) / 3 of the block.
/// </summary>
internal sealed class GateFirstChannels(FeedForwardWeights block, ChannelWeights weights, ChannelOptions options) : BlockChannels(block, weights)
{
    // The running threshold forgets: texts drift.
    private const double Memory = 128;

    private readonly float[] _factors = new float[block.Channels];
    private double _threshold;
    private double _tokens;

    /// <summary>The row of `equip info --policies`.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "--channels gate-first",
        Paper = "none",
        Lossy = true,
        QueryAware = true,
        ActsAtPrefill = true,
        ActsAtDecode = true,
        Positions = "any, beside every policy",
        Guesses = "all of it: factor of |silu(gate)| = column sum of |W_down| x rms of up over the prompt, or x norm of the row of W_up (--channel-factor); the same number for every token, or what reaches the running mean of the thresholds (--channel-cut)",
    };

    public override void Step(KernelContext context, ChannelScratch scratch, ReadOnlySpan<float> input, Span<float> output, bool accumulate)
    {
        Span<float> gate = scratch.Gate.AsSpan(0, Channels), scores = scratch.Scores.AsSpan(0, Channels);
        LinearLayer.Multiply(context, Block.Gate, input, gate, 1, Block.GateBias);
        StepBytes = Block.Gate.Bytes;
        SwiGlu.Multiply(context, gate, _factors, scores);
        for (int i = 0; i < scores.Length; i++) scores[i] = Math.Abs(scores[i]);
        ReadOnlySpan<int> chosen = Select(scores, scratch.Chosen);
        Span<float> up = scratch.Up.AsSpan(0, chosen.Length);
        MultiplyRows(context, Block.Up, Block.UpBias, chosen, input, up);
        for (int i = 0; i < chosen.Length; i++) gate[i] = gate[chosen[i]];
        SwiGlu.Multiply(context, gate[..chosen.Length], up, up);
        ProjectDown(context, Weights.DownTransposed, chosen, up, output, accumulate);
    }

    protected override void Choose(KernelContext context, ChannelStatistics seen, int draw)
    {
        for (int k = 0; k < Channels; k++)
            _factors[k] = (float)(Weights.DownNorms[k] * (options.Factor == ChannelFactor.Weights ? Weights.UpNorms[k] : seen.UpSize(k)));
        _tokens = 0;
    }

    private ReadOnlySpan<int> Select(ReadOnlySpan<float> scores, int[] chosen)
    {
        int count = Count(1 - options.Ratio);
        TopK.Select(scores, chosen.AsSpan(0, count));
        if (!options.Threshold) return chosen.AsSpan(0, count);
        double least = double.MaxValue;
        foreach (int channel in chosen.AsSpan(0, count)) least = Math.Min(least, scores[channel]);
        _tokens = Math.Min(_tokens + 1, Memory);
        _threshold += (least - _threshold) / _tokens;
        int reached = 0;
        for (int i = 0; i < scores.Length; i++)
            if (scores[i] >= _threshold) chosen[reached++] = i;
        return chosen.AsSpan(0, reached);
    }
}
