using System.Numerics;
using System.Runtime.InteropServices;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Model.Transformer;

namespace Equip.Model.Pruning;

/// <summary>
/// The channels of one feed-forward block as one sequence computes them. What has seen no prompt token (a sequence without a
/// prompt, an expert that no prompt token was routed to) is computed whole once, and that token is scored as the prompt's
/// would have been [GUESS: the papers always have a prompt].
/// </summary>
internal abstract class BlockChannels : IDisposable
{
    private readonly ChannelStatistics _seen;
    private int _draw;

    protected BlockChannels(FeedForwardWeights block, ChannelWeights weights)
    {
        Block = block;
        Weights = weights;
        _seen = new ChannelStatistics(block.Channels);
    }

    /// <summary>Whether channels have been chosen, so that <see cref="Step"/> can be called.</summary>
    public bool IsReady { get; private set; }

    /// <summary>Bytes of weights that the last step read.</summary>
    public long StepBytes { get; protected set; }

    /// <summary>Channels that the last step projected down.</summary>
    public int StepChannels { get; private set; }

    protected FeedForwardWeights Block { get; }

    protected ChannelWeights Weights { get; }

    protected int Channels => Block.Channels;

    /// <summary>Adds tokens that were computed whole.</summary>
    public void Observe(ReadOnlySpan<float> product, ReadOnlySpan<float> up, int rows) => _seen.Add(product, up, rows);

    /// <summary>Chooses by all that was seen.</summary>
    /// <param name="context">Threads.</param>
    /// <param name="draw">What random choices follow from; null for what it was.</param>
    public void EndPrompt(KernelContext context, int? draw = null)
    {
        _draw = draw ?? _draw;
        if (_seen.Tokens == 0) return;
        // A choice that failed leaves none.
        IsReady = false;
        Choose(context, _seen, _draw);
        IsReady = true;
    }

    /// <summary>output (+)= the block of one token.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="scratch">Room for the step.</param>
    /// <param name="input"><c>[hidden]</c>, normed.</param>
    /// <param name="output"><c>[hidden]</c>.</param>
    /// <param name="accumulate">Add to the output.</param>
    public abstract void Step(KernelContext context, ChannelScratch scratch, ReadOnlySpan<float> input, Span<float> output, bool accumulate);

    /// <summary>Returns the memory.</summary>
    public virtual void Dispose()
    {
    }

    /// <summary>Decides what the prompt decides.</summary>
    protected abstract void Choose(KernelContext context, ChannelStatistics seen, int draw);

    /// <summary>output (+)= the given rows of a transposed down projection, and the bias.</summary>
    protected void ProjectDown(KernelContext context, in WeightMatrix down, ReadOnlySpan<int> rows, ReadOnlySpan<float> product, Span<float> output, bool accumulate)
    {
        GatheredGemv.Channels(context, down, rows, product, output, accumulate);
        if (Block.DownBias is { } bias)
            for (int i = 0; i < bias.Length; i++) output[i] += bias[i];
        StepChannels = rows.Length;
        StepBytes += rows.Length * RowBytes(down);
    }

    /// <summary>output[i] = row channels[i] of gate or up, with its bias.</summary>
    protected void MultiplyRows(KernelContext context, in WeightMatrix matrix, float[]? bias, ReadOnlySpan<int> channels, ReadOnlySpan<float> input, Span<float> output)
    {
        GatheredGemv.Rows(context, matrix, channels, input, output);
        for (int i = 0; bias is not null && i < channels.Length; i++) output[i] += bias[channels[i]];
        StepBytes += channels.Length * RowBytes(matrix);
    }

    /// <summary>scores[i] = |values[i]| * factors[i].</summary>
    protected static void Score(ReadOnlySpan<float> values, ReadOnlySpan<float> factors, Span<float> scores)
    {
        ReadOnlySpan<Vector<float>> v = MemoryMarshal.Cast<float, Vector<float>>(values), f = MemoryMarshal.Cast<float, Vector<float>>(factors);
        Span<Vector<float>> s = MemoryMarshal.Cast<float, Vector<float>>(scores);
        for (int i = 0; i < v.Length; i++) s[i] = Vector.Abs(v[i]) * f[i];
        for (int i = v.Length * Vector<float>.Count; i < values.Length; i++) scores[i] = Math.Abs(values[i]) * factors[i];
    }

    /// <summary>A share of the channels as a number, at least one.</summary>
    protected int Count(double share) => Math.Max(1, (int)Math.Floor((share * Channels) + 0.5));

    private static long RowBytes(in WeightMatrix matrix) => matrix.Bytes / matrix.Rows;
}
