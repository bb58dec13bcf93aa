using Equip.Kernels.Numerics;

namespace Equip.Model.Transformer;

/// <summary>Which rows go to which experts, and with what weight: softmax over all experts, the best few, divided by their sum where the model says so.</summary>
internal sealed class ExpertRouting
{
    private readonly List<int>[] _rows;
    private readonly List<float>[] _weights;
    private readonly int[] _chosen;
    private readonly bool _normalizes;

    public ExpertRouting(Config.MixtureConfig mixture)
    {
        _rows = [.. Enumerable.Range(0, mixture.Experts).Select(_ => new List<int>())];
        _weights = [.. Enumerable.Range(0, mixture.Experts).Select(_ => new List<float>())];
        _chosen = new int[mixture.ExpertsPerToken];
        _normalizes = mixture.NormalizesWeights;
    }

    /// <summary>Rows of an expert, ascending.</summary>
    public ReadOnlySpan<int> Rows(int expert) => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_rows[expert]);

    /// <summary>Their weights.</summary>
    public ReadOnlySpan<float> Weights(int expert) => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_weights[expert]);

    /// <summary>Routes rows.</summary>
    /// <param name="logits">The router's, <c>[rows, experts]</c>; overwritten.</param>
    /// <param name="rows">Tokens.</param>
    public void Route(Span<float> logits, int rows)
    {
        int experts = _rows.Length;
        for (int expert = 0; expert < experts; expert++)
        {
            _rows[expert].Clear();
            _weights[expert].Clear();
        }

        for (int row = 0; row < rows; row++)
        {
            Span<float> scores = logits.Slice(row * experts, experts);
            TopK.Select(scores, _chosen);
            float max = float.NegativeInfinity, sum = 0;
            foreach (float score in scores) max = Math.Max(max, score);
            for (int expert = 0; expert < experts; expert++) scores[expert] = MathF.Exp(scores[expert] - max);
            if (_normalizes) foreach (int expert in _chosen) sum += scores[expert];
            else foreach (float score in scores) sum += score;
            foreach (int expert in _chosen)
            {
                _rows[expert].Add(row);
                _weights[expert].Add(scores[expert] / sum);
            }
        }
    }
}
