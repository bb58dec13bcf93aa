namespace Equip.Model.Pruning;

/// <summary>Token Filtering in one layer of one sequence: anchors, their fusion, and the threshold.</summary>
internal sealed class LayerFilter(TokenFilterOptions options, int layer, double rate, int kvHeads, int headDim)
{
    private const int PlainMeanTokens = 16;
    private const double Epsilon = 1e-8;

    private readonly Anchors _keys = new(kvHeads, headDim);
    private readonly Anchors _values = new(kvHeads, headDim);
    private readonly OnlineQuantile _threshold = new(rate, options.Eta, options.HoldsShare);
    private readonly Random _random = new(layer);
    private int _tokens;

    /// <summary>Whether the layer filters at all.</summary>
    public bool Active => rate > 0;

    /// <summary>Whether the newest token was filtered.</summary>
    public bool Skipped { get; set; }

    /// <summary>Similarities above it are filtered.</summary>
    public double Threshold => _threshold.Threshold;

    /// <summary>Tokens that were filtered and are not in the cache.</summary>
    public int LeftOut { get; set; }

    /// <summary>Takes a token that attends whatever it is like. The first half of the warm-up, at most 64 tokens, finds the anchors and is no sample.</summary>
    public void Observe(ReadOnlySpan<float> keys, ReadOnlySpan<float> values)
    {
        double similarity = Similarity(keys, values);
        if (_tokens > Math.Min(64, options.WarmUpTokens / 2)) _threshold.Observe(Ranked(similarity));
    }

    /// <summary>Whether a token is filtered.</summary>
    /// <param name="keys"><c>[kvHeads, headDim]</c>.</param>
    /// <param name="values"><c>[kvHeads, headDim]</c>.</param>
    /// <param name="similarity">Receives its fused similarity.</param>
    public bool Decide(ReadOnlySpan<float> keys, ReadOnlySpan<float> values, out double similarity)
    {
        similarity = Similarity(keys, values);
        if (options.Rule == FilterRule.Random) return _random.NextDouble() < rate;
        return _threshold.Picks(Ranked(similarity));
    }

    private double Ranked(double similarity) => options.Rule == FilterRule.Reverse ? -similarity : similarity;

    private double Similarity(ReadOnlySpan<float> keys, ReadOnlySpan<float> values)
    {
        float keep = _tokens < PlainMeanTokens ? _tokens / (_tokens + 1f) : (float)options.Gamma;
        _tokens++;
        (double key, double keyVariance) = _keys.Follow(keys, keep);
        (double value, double valueVariance) = _values.Follow(values, keep);
        double weight = options.Fusion switch
        {
            FilterFusion.Key => 1,
            FilterFusion.Value => 0,
            FilterFusion.Variance when kvHeads > 1 => valueVariance / (keyVariance + valueVariance + Epsilon),
            _ => 0.5,
        };
        return (weight * key) + ((1 - weight) * value);
    }
}
