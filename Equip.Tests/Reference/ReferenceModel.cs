using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;
using Equip.Model;
using Equip.Model.Config;
using Equip.Model.Transformer;

namespace Equip.Tests.Reference;

/// <summary>One cached token of one KV head; the key is not rotated.</summary>
internal sealed record ReferenceEntry(int Position, double[] Key, double[] Value)
{
    /// <summary>Sum of the probabilities it has received, over steps and the group's heads.</summary>
    public double Score { get; set; }

    /// <summary>What it received at the last step.</summary>
    public double LastProbability { get; set; }
}

/// <summary>A feed-forward block's activations of one token; the product is the down projection's input.</summary>
internal sealed record ReferenceActivations(double[] Gate, double[] Up, double[] Product);

/// <summary>A cache kept as the papers describe it: a list in order of age for every layer and KV head.</summary>
internal sealed class ReferenceSequence(int layers, int kvHeads)
{
    public int Tokens { get; set; }

    public List<ReferenceEntry>[][] Entries { get; } = [.. Enumerable.Range(0, layers).Select(_ => Enumerable.Range(0, kvHeads).Select(_ => new List<ReferenceEntry>()).ToArray())];
}

/// <summary>What a reference run does about its cache.</summary>
internal sealed class ReferenceCachePolicy
{
    /// <summary>Rank among the live tokens instead of the position in the text.</summary>
    public bool RankPositions { get; init; }

    /// <summary>
    /// Told a layer and the new token's K (not rotated) and V, <c>[kvHeads * headDim]</c>: whether its attention is skipped, and whether it
    /// enters the cache.
    /// </summary>
    public Func<int, double[], double[], (bool Skips, bool Appends)> Filter { get; init; } = (_, _, _) => (false, true);

    /// <summary>Called for a layer when the new token has been appended, before attention.</summary>
    public Action<List<ReferenceEntry>[]> BeforeAttention { get; init; } = _ => { };

    /// <summary>Called for a layer when the probabilities of the step have been added to the entries.</summary>
    public Action<List<ReferenceEntry>[]> AfterAttention { get; init; } = _ => { };
}

/// <summary>The whole transformer in double, plain loops, token by token. All keys are rotated anew at every step.</summary>
internal sealed class ReferenceModel
{
    private readonly ModelConfig _config;
    private readonly RopeTable _rope;
    private readonly Dictionary<nint, double[]> _matrices = [];
    private readonly ModelWeights _weights;

    public ReferenceModel(LanguageModel model)
    {
        _config = model.Config;
        _weights = model.Weights;
        _rope = new RopeTable(_config.Rope);
    }

    public ReferenceSequence CreateSequence() => new(_config.Layers, _config.KvHeads);

    public double[] Step(ReferenceSequence sequence, int token, ReferenceCachePolicy policy)
    {
        int hidden = _config.HiddenSize;
        double[] embedding = Widen(_weights.Embedding);
        double[] x = embedding[(token * hidden)..((token + 1) * hidden)];
        for (int layer = 0; layer < _config.Layers; layer++)
        {
            LayerWeights weights = _weights.Layers[layer];
            double[] normed = Norm(x, weights.AttentionNorm);
            if (Attend(sequence, layer, normed, weights, policy) is { } attended) Add(x, Multiply(weights.Output, attended, weights.OutputBias));
            normed = Norm(x, weights.FeedForwardNorm);
            Add(x, weights.Mixture is { } mixture ? Mix(layer, mixture, normed) : Block(layer, 0, weights.FeedForward!, normed));
        }

        sequence.Tokens++;
        return Multiply(_weights.Head, Norm(x, _weights.FinalNorm), null);
    }

    /// <summary>What becomes of a block's activations silu(gate) * up (by layer and block): sets those to 0 that are pruned. Also sees silu(gate) and up.</summary>
    public Action<int, int, ReferenceActivations>? OnBlock { get; set; }

    private double[] Block(int layer, int number, FeedForwardWeights block, double[] normed)
    {
        double[] gate = Multiply(block.Gate, normed, block.GateBias), up = Multiply(block.Up, normed, block.UpBias);
        for (int i = 0; i < gate.Length; i++) gate[i] /= 1 + Math.Exp(-gate[i]);
        double[] product = [.. gate.Select((value, i) => value * up[i])];
        OnBlock?.Invoke(layer, number, new ReferenceActivations(gate, up, product));
        return Multiply(block.Down, product, block.DownBias);
    }

    /// <summary>The experts in plain terms: probabilities over all, the best few (earlier ones first among equals), weighed sums.</summary>
    private double[] Mix(int layer, MixtureWeights mixture, double[] normed)
    {
        double[] logits = Multiply(mixture.Router, normed, null), sum = new double[normed.Length];
        double[] odds = [.. logits.Select(logit => Math.Exp(logit - logits.Max()))];
        int[] chosen = [.. Enumerable.Range(0, odds.Length).OrderByDescending(expert => odds[expert]).Take(_config.Mixture!.ExpertsPerToken)];
        double whole = _config.Mixture.NormalizesWeights ? chosen.Sum(expert => odds[expert]) : odds.Sum();
        foreach (int expert in chosen) Add(sum, [.. Block(layer, expert, mixture.Experts[expert], normed).Select(value => value * odds[expert] / whole)]);
        if (mixture.Shared is not { } shared) return sum;
        double weight = 1 / (1 + Math.Exp(-Multiply(mixture.SharedGate, normed, null)[0]));
        Add(sum, [.. Block(layer, odds.Length, shared, normed).Select(value => value * weight)]);
        return sum;
    }

    /// <summary>Keeps sinks and the newest tokens.</summary>
    public static Action<List<ReferenceEntry>[]> Streaming(int sinks, int budget) => heads =>
    {
        foreach (List<ReferenceEntry> entries in heads)
            while (entries.Count > budget) entries.RemoveAt(sinks);
    };

    private double[]? Attend(ReferenceSequence sequence, int layer, double[] normed, LayerWeights weights, ReferenceCachePolicy policy)
    {
        int headDim = _config.HeadDim, group = _config.Heads / _config.KvHeads, position = sequence.Tokens;
        double[] query = Multiply(weights.Query, normed, weights.QueryBias);
        double[] key = Multiply(weights.Key, normed, weights.KeyBias);
        double[] value = Multiply(weights.Value, normed, weights.ValueBias);
        key = [.. Enumerable.Range(0, _config.KvHeads).SelectMany(head => HeadNorm(Row(key, head), weights.KeyNorm))];
        (bool skips, bool appends) = policy.Filter(layer, key, value);
        if (skips && !appends) return null;
        for (int head = 0; head < _config.KvHeads; head++)
            sequence.Entries[layer][head].Add(new ReferenceEntry(position, Row(key, head), Row(value, head)));
        policy.BeforeAttention(sequence.Entries[layer]);
        if (skips) return null;
        double[] output = new double[_config.Heads * headDim];
        for (int head = 0; head < _config.Heads; head++)
        {
            List<ReferenceEntry> entries = sequence.Entries[layer][head / group];
            double[] rotated = Rotate(HeadNorm(Row(query, head), weights.QueryNorm), policy.RankPositions ? entries.Count - 1 : position);
            double[] scores = new double[entries.Count];
            for (int i = 0; i < scores.Length; i++)
            {
                double[] k = Rotate(entries[i].Key, policy.RankPositions ? i : entries[i].Position);
                for (int d = 0; d < headDim; d++) scores[i] += rotated[d] * k[d] / Math.Sqrt(headDim);
            }

            double max = scores.Max(), sum = scores.Sum(score => Math.Exp(score - max));
            for (int i = 0; i < scores.Length; i++)
            {
                double probability = Math.Exp(scores[i] - max) / sum;
                entries[i].LastProbability = (head % group == 0 ? 0 : entries[i].LastProbability) + probability;
                entries[i].Score += probability;
                for (int d = 0; d < headDim; d++) output[(head * headDim) + d] += probability * entries[i].Value[d];
            }
        }

        policy.AfterAttention(sequence.Entries[layer]);
        return output;
    }

    private double[] Row(double[] rows, int head) => rows[(head * _config.HeadDim)..((head + 1) * _config.HeadDim)];

    private double[] HeadNorm(double[] row, float[]? weight) => weight is null ? row : Norm(row, weight);

    private double[] Norm(double[] x, float[] weight)
    {
        double scale = 1 / Math.Sqrt(x.Average(v => v * v) + _config.RmsNormEpsilon);
        return [.. x.Select((v, i) => v * scale * weight[i])];
    }

    /// <summary>Half-split pairs, angles in double.</summary>
    private double[] Rotate(double[] row, int position)
    {
        double[] rotated = [.. row];
        int pairs = _rope.Pairs;
        for (int i = 0; i < pairs; i++)
        {
            (double sin, double cos) = Math.SinCos(position * _rope.InverseFrequencies[i]);
            sin *= _rope.AttentionFactor;
            cos *= _rope.AttentionFactor;
            rotated[i] = (row[i] * cos) - (row[i + pairs] * sin);
            rotated[i + pairs] = (row[i + pairs] * cos) + (row[i] * sin);
        }

        return rotated;
    }

    private double[] Multiply(WeightMatrix matrix, double[] x, float[]? bias)
    {
        double[] weights = Widen(matrix), y = new double[matrix.Rows];
        for (int row = 0; row < y.Length; row++)
        {
            double sum = bias?[row] ?? 0;
            for (int column = 0; column < x.Length; column++) sum += weights[(row * x.Length) + column] * x[column];
            y[row] = sum;
        }

        return y;
    }

    private static void Add(double[] x, double[] y)
    {
        for (int i = 0; i < x.Length; i++) x[i] += y[i];
    }

    private unsafe double[] Widen(WeightMatrix matrix)
    {
        if (_matrices.TryGetValue((nint)matrix.Data, out double[]? known)) return known;
        float[] values = new float[matrix.Rows * matrix.Columns];
        Conversion.Widen(Isa.Scalar, matrix.Data, matrix.Type, values);
        return _matrices[(nint)matrix.Data] = Array.ConvertAll(values, v => (double)v);
    }
}
