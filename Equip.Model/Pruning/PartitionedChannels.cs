using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.Linear;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;

namespace Equip.Model.Pruning;

/// <summary>
/// POP (arXiv 2602.06822): after the prompt the channels are ranked and cut into retained, candidates and pruned ones, and the
/// pruned ones never come back. A step computes gate and up of retained and candidates, takes the best candidates by the
/// token's own activation, and projects down what is left. The sequence may copy what it computes (<see cref="CopiedChannels"/>). The rank of channel k is the sum over column k of |W_down| times
/// the norm of its input over all prompt tokens of the sequence, that of a candidate the same sum times |input|.
/// [GUESS: the sum over the column, and the sizes: |R| = (1 - ratio - gamma / 2) N, |C| = gamma N, half of C chosen, so that the
/// ratio is met; ties go to the lower channel. Experts are ranked each by the tokens routed to it.]
/// The controls are the same with other sizes or ranks: static has no candidates, the oracle nothing else, random draws the rank, anew for every text.
/// </summary>
internal sealed class PartitionedChannels(FeedForwardWeights block, ChannelWeights weights, ChannelOptions options, int seed, BufferPool copies) : BlockChannels(block, weights)
{
    private int[] _computed = [];       // retained, then candidates, both ascending: a row between its neighbours is read faster than one alone
    private int[] _downRows = [];       // where their rows of down lie
    private float[] _candidateNorms = [];
    private int _retained, _choose;
    private CopiedChannels? _copied;

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
        if (_copied is { } copied)
        {
            LinearLayer.Multiply(context, copied.Gate, input, gate, 1, copied.GateBias);
            LinearLayer.Multiply(context, copied.Up, input, up, 1, copied.UpBias);
            StepBytes += copied.Gate.Bytes + copied.Up.Bytes;
        }
        else
        {
            MultiplyRows(context, Block.Gate, Block.GateBias, _computed, input, gate);
            MultiplyRows(context, Block.Up, Block.UpBias, _computed, input, up);
        }

        SwiGlu.Multiply(context, gate, up, gate);
        ReadOnlySpan<int> rows = Select(scratch, gate);
        ProjectDown(context, _copied?.Down ?? Weights.DownTransposed, rows, gate[..rows.Length], output, accumulate);
    }

    public override void Dispose()
    {
        _copied?.Dispose();
        base.Dispose();
    }

    protected override void Choose(KernelContext context, ChannelStatistics seen, int draw)
    {
        float[] ranks = Rank(seen, draw);
        double gamma = options.Method switch { ChannelMethod.Oracle => 1, ChannelMethod.Pop => options.Gamma, _ => 0 };
        int kept = Count(1 - options.Ratio);
        _retained = options.Method == ChannelMethod.Oracle ? 0 : Math.Clamp(Count(1 - options.Ratio - (gamma / 2)), 0, kept);
        _choose = kept - _retained;
        int candidates = Math.Clamp((int)Math.Floor((gamma * Channels) + 0.5), _choose, Channels - _retained);

        // The best, and among the best of more the others.
        int[] best = new int[_retained], more = new int[_retained + candidates];
        TopK.Select(ranks, best);
        TopK.Select(ranks, more);
        _computed = [.. best, .. more.Except(best)];
        _candidateNorms = Array.ConvertAll(_computed[_retained..], channel => Weights.DownNorms[channel]);
        _copied?.Dispose();
        _copied = null;
        if (options.Copies && _computed.Length < Channels) _copied = new CopiedChannels(context, copies, Block, Weights, _computed);
        _downRows = _copied is null ? _computed : [.. Enumerable.Range(0, _computed.Length)];
    }

    private float[] Rank(ChannelStatistics seen, int draw)
    {
        float[] ranks = new float[Channels];
        Random random = new(unchecked(seed + draw));
        for (int k = 0; k < ranks.Length; k++)
            ranks[k] = options.Method == ChannelMethod.Random ? random.NextSingle() : (float)(Weights.DownNorms[k] * seen.ProductNorm(k));
        return ranks;
    }

    /// <summary>Moves the products of the chosen candidates behind those of the retained; returns the rows of down that they meet.</summary>
    private ReadOnlySpan<int> Select(ChannelScratch scratch, Span<float> product)
    {
        if (_retained + _choose == _computed.Length) return _downRows;
        Span<float> candidates = product[_retained..], scores = scratch.Scores.AsSpan(0, candidates.Length);
        Score(candidates, _candidateNorms, scores);
        Span<int> chosen = scratch.Chosen.AsSpan(0, _choose), rows = scratch.List.AsSpan(0, _retained + _choose);
        TopK.Select(scores, chosen);
        _downRows.AsSpan(0, _retained).CopyTo(rows);
        for (int i = 0; i < _choose; i++)
        {
            rows[_retained + i] = _downRows[_retained + chosen[i]];
            candidates[i] = candidates[chosen[i]];
        }

        return rows;
    }
}
