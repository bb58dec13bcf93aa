using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;

namespace Equip.Model.Pruning;

/// <summary>
/// POP (arXiv 2602.06822): after the prompt the channels are ranked and cut into retained, candidates and pruned ones, and the
/// pruned ones never come back. A step computes gate and up of retained and candidates, takes the best candidates by the
/// token's own activation, and projects down what is left. The rank of channel k is the sum over column k of |W_down| times
/// the norm of its input over all prompt tokens of the sequence, that of a candidate the same sum times |input|.
/// [GUESS: the sum over the column, and the sizes: |R| = (1 - ratio - gamma / 2) N, |C| = gamma N, half of C chosen, so that the
/// ratio is met; ties go to the lower channel. Experts are ranked each by the tokens routed to it.]
/// The controls are the same with other sizes or ranks: static has no candidates, the oracle nothing else, random draws the rank, anew for every text.
/// </summary>
internal sealed class PartitionedChannels(FeedForwardWeights block, ChannelWeights weights, ChannelOptions options, int seed) : BlockChannels(block, weights)
{
    private int[] _computed = [];       // retained, then candidates, both ascending
    private float[] _candidateNorms = [];
    private int _retained;
    private int _choose;

    /// <summary>The row of `equip info --policies`.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "--pop",
        Paper = "POP (FFN channels), arXiv 2602.06822",
        Lossy = true,
        QueryAware = true,
        ActsAtPrefill = true,
        ActsAtDecode = true,
        Positions = "any, beside every policy",
        Guesses = "rank = column sum of |W_down| x norm of the channel over the prompt (sum, not norm or maximum); |R| = (1 - r - gamma/2) N, |C| = gamma N, half of C chosen (--pop-gamma); ties to the lower channel; " +
            "without prompt tokens (of an expert too) the first token is computed whole and ranks; sequences of a batch choose each for itself; --channels static, random, oracle are its controls",
    };

    public override void Step(KernelContext context, ChannelScratch scratch, ReadOnlySpan<float> input, Span<float> output, bool accumulate)
    {
        StepBytes = 0;
        Span<float> gate = scratch.Gate.AsSpan(0, _computed.Length), up = scratch.Up.AsSpan(0, _computed.Length);
        MultiplyRows(context, Block.Gate, Block.GateBias, _computed, input, gate);
        MultiplyRows(context, Block.Up, Block.UpBias, _computed, input, up);
        SwiGlu.Multiply(context, gate, up, gate);
        if (_retained + _choose == _computed.Length)
        {
            ProjectDown(context, _computed, gate, output, accumulate);
            return;
        }

        Span<float> scores = scratch.Scores.AsSpan(0, _candidateNorms.Length);
        Score(gate[_retained..], _candidateNorms, scores);
        Span<int> chosen = scratch.Chosen.AsSpan(0, _choose);
        TopK.Select(scores, chosen);

        // The channels that are read: the retained, which stand where they are, and the chosen moved up behind them.
        Span<int> list = scratch.List.AsSpan(0, _retained + _choose);
        _computed.AsSpan(0, _retained).CopyTo(list);
        for (int i = 0; i < chosen.Length; i++)
        {
            list[_retained + i] = _computed[_retained + chosen[i]];
            gate[_retained + i] = gate[_retained + chosen[i]];
        }

        ProjectDown(context, list, gate[..list.Length], output, accumulate);
    }

    protected override void Choose(ChannelStatistics seen, int draw)
    {
        float[] ranks = Rank(seen, draw);
        double gamma = options.Method switch { ChannelMethod.Oracle => 1, ChannelMethod.Pop => options.Gamma, _ => 0 };
        int kept = Count(1 - options.Ratio);
        _retained = options.Method == ChannelMethod.Oracle ? 0 : Math.Clamp(Count(1 - options.Ratio - (gamma / 2)), 0, kept);
        int candidates = Math.Clamp((int)Math.Floor((gamma * Channels) + 0.5), kept - _retained, Channels - _retained);
        _choose = kept - _retained;

        // The best, and behind them what is only among the best of more.
        _computed = new int[_retained + candidates];
        Span<int> retained = _computed.AsSpan(0, _retained);
        TopK.Select(ranks, retained);
        int[] computed = new int[_computed.Length];
        TopK.Select(ranks, computed);
        int next = 0, end = _retained;
        foreach (int channel in computed)
        {
            if (next < _retained && retained[next] == channel) next++;
            else _computed[end++] = channel;
        }

        _candidateNorms = [.. _computed.Skip(_retained).Select(channel => Weights.DownNorms[channel])];
    }

    private float[] Rank(ChannelStatistics seen, int draw)
    {
        float[] ranks = new float[Channels];
        Random random = new(unchecked(seed + draw));
        for (int k = 0; k < ranks.Length; k++)
            ranks[k] = options.Method == ChannelMethod.Random ? random.NextSingle() : (float)(Weights.DownNorms[k] * seen.ProductNorm(k));
        return ranks;
    }
}
