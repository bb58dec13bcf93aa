using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.Linear;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;

namespace Equip.Model.Pruning;

/// <summary>
/// Per-token selection with almost the oracle's knowledge at half its price: gate and up of every channel come from int8 copies
/// (<see cref="Quantization"/>), so that each channel's own activation is known to within 1 %, and down, in the model's own type,
/// is read only where |activation| times the column sum of |W_down| is largest. With 16-bit weights a share s reads
/// (1.0625 + s) / 3 of the block; the copies take that 1.0625 / 3 of memory besides. No paper: this project's own.
/// It quantises two of three matrices, which the other methods do not: compare it with `--weights q8` too.
/// </summary>
internal sealed class Int8FirstChannels(FeedForwardWeights block, ChannelWeights weights, ChannelOptions options) : BlockChannels(block, weights)
{
    /// <summary>The row of `equip info --policies`.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "--channels int8-first",
        Paper = "none",
        Lossy = true,
        QueryAware = false,
        ActsAtPrefill = false,
        ActsAtDecode = true,
        Positions = "any, beside every policy",
        Guesses = "all of it: gate and up (and their input) rounded to int8 in blocks of 32; |activation| x column sum of |W_down| chooses the channels of down",
    };

    public override void Step(KernelContext context, ChannelScratch scratch, ReadOnlySpan<float> input, Span<float> output, bool accumulate)
    {
        Span<float> product = scratch.Gate.AsSpan(0, Channels), up = scratch.Up.AsSpan(0, Channels), scores = scratch.Scores.AsSpan(0, Channels);
        LinearLayer.Multiply(context, Weights.Int8Gate, input, product, 1, Block.GateBias);
        LinearLayer.Multiply(context, Weights.Int8Up, input, up, 1, Block.UpBias);
        StepBytes = Weights.Int8Gate.Bytes + Weights.Int8Up.Bytes;
        SwiGlu.Multiply(context, product, up, product);
        Score(product, Weights.DownNorms, scores);
        Span<int> chosen = scratch.Chosen.AsSpan(0, Count(1 - options.Ratio));
        TopK.Select(scores, chosen);
        for (int i = 0; i < chosen.Length; i++) product[i] = product[chosen[i]];
        ProjectDown(context, Weights.DownTransposed, chosen, product[..chosen.Length], output, accumulate);
    }

    protected override void Choose(KernelContext context, ChannelStatistics seen, int draw)
    {
    }
}
