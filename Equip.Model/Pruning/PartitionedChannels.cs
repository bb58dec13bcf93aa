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
    // All lists ascend: a row between its neighbours is read faster than one alone.
    private int[] _computed = [];       // retained and candidates
    private int[] _candidates = [];     // where the candidates stand in it
    private float[] _candidateNorms = [];
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
        if (_choose == _candidates.Length)
        {
            ProjectDown(context, _computed, gate, output, accumulate);
            return;
        }

        Span<float> scores = scratch.Scores.AsSpan(0, _candidates.Length);
        for (int i = 0; i < scores.Length; i++) scores[i] = Math.Abs(gate[_candidates[i]]) * _candidateNorms[i];
        Span<int> chosen = scratch.Chosen.AsSpan(0, _choose);
        TopK.Select(scores, chosen);
        int count = Drop(chosen, gate, scratch.List);
        ProjectDown(context, scratch.List.AsSpan(0, count), gate[..count], output, accumulate);
    }

    protected override void Choose(ChannelStatistics seen, int draw)
    {
        float[] ranks = Rank(seen, draw);
        double gamma = options.Method switch { ChannelMethod.Oracle => 1, ChannelMethod.Pop => options.Gamma, _ => 0 };
        int kept = Count(1 - options.Ratio);
        int retained = options.Method == ChannelMethod.Oracle ? 0 : Math.Clamp(Count(1 - options.Ratio - (gamma / 2)), 0, kept);
        int candidates = Math.Clamp((int)Math.Floor((gamma * Channels) + 0.5), kept - retained, Channels - retained);
        _choose = kept - retained;

        // The best, and among the best of more the others.
        int[] best = new int[retained];
        _computed = new int[retained + candidates];
        TopK.Select(ranks, best);
        TopK.Select(ranks, _computed);
        _candidates = new int[candidates];
        int next = 0, candidate = 0;
        for (int i = 0; i < _computed.Length; i++)
        {
            if (next < retained && best[next] == _computed[i]) next++;
            else _candidates[candidate++] = i;
        }

        _candidateNorms = [.. _candidates.Select(i => Weights.DownNorms[_computed[i]])];
    }

    private float[] Rank(ChannelStatistics seen, int draw)
    {
        float[] ranks = new float[Channels];
        Random random = new(unchecked(seed + draw));
        for (int k = 0; k < ranks.Length; k++)
            ranks[k] = options.Method == ChannelMethod.Random ? random.NextSingle() : (float)(Weights.DownNorms[k] * seen.ProductNorm(k));
        return ranks;
    }

    /// <summary>Moves what is retained or chosen together; lists its channels and returns how many.</summary>
    private int Drop(ReadOnlySpan<int> chosen, Span<float> product, int[] list)
    {
        int count = 0, candidate = 0, taken = 0;
        for (int i = 0; i < _computed.Length; i++)
        {
            if (candidate < _candidates.Length && _candidates[candidate] == i)
            {
                bool take = taken < chosen.Length && chosen[taken] == candidate;
                candidate++;
                if (!take) continue;
                taken++;
            }

            list[count] = _computed[i];
            product[count++] = product[i];
        }

        return count;
    }
}
