namespace Equip.Tests.Reference;

/// <summary>The decisions of Token Filtering in one layer, in double and as plain as they can be written: keys before rotation, fusion by variance.</summary>
internal sealed class ReferenceTokenFilter(int kvHeads, double rate, double gamma, double eta, int firstSample)
{
    private readonly List<double> _sample = [];
    private readonly List<double> _decided = [];
    private double[] _keyAnchor = [];
    private double[] _valueAnchor = [];
    private int _tokens;
    private double _step;
    private int _filtered;

    public double Threshold { get; private set; } = double.NaN;

    /// <summary>A token that attends in any case.</summary>
    public void Observe(double[] key, double[] value)
    {
        bool sampled = _tokens >= firstSample;
        double similarity = Similarity(key, value);
        if (!sampled) return;
        if (double.IsNaN(Threshold)) _sample.Add(similarity);
        else Move(similarity > Threshold);
    }

    /// <summary>
    /// Whether a token is filtered, and by how much its similarity lies above the threshold. Where that is too close to call, what is done is
    /// given, and counts.
    /// </summary>
    public (bool Filtered, double Margin) Decide(double[] key, double[] value, bool done)
    {
        if (double.IsNaN(Threshold)) StartFrom([.. _sample]);
        double similarity = Similarity(key, value), margin = similarity - Threshold;
        _decided.Add(similarity);
        bool above = margin > 0;
        Move(above);
        double off = _filtered - (rate * _decided.Count) + (above ? 1 : 0);
        bool turned = Math.Abs(off) > 0.02 * Math.Max(_decided.Count, 64);
        double[] newest = [.. _decided.TakeLast(32)];
        if (turned && newest.Length >= 8 && newest.Select(s => s > Threshold).Distinct().Count() == 1) StartFrom(newest);
        if (done) _filtered++;
        return (above != turned, margin);
    }

    private void StartFrom(double[] values)
    {
        Array.Sort(values);
        double place = (1 - rate) * (values.Length - 1);
        int below = (int)Math.Floor(place);
        Threshold = values[below] + ((place - below) * (values[Math.Min(below + 1, values.Length - 1)] - values[below]));
        _step = eta * Math.Sqrt(values.Average(s => (s - values.Average()) * (s - values.Average())));
    }

    private void Move(bool above) => Threshold += _step * (above ? 1 - rate : -rate);

    private double Similarity(double[] key, double[] value)
    {
        if (_tokens == 0) (_keyAnchor, _valueAnchor) = (new double[key.Length], new double[value.Length]);
        double[] keys = Cosines(key, _keyAnchor), values = Cosines(value, _valueAnchor);
        double keep = _tokens < 16 ? (double)_tokens / (_tokens + 1) : gamma;
        for (int i = 0; i < key.Length; i++)
        {
            _keyAnchor[i] = (keep * _keyAnchor[i]) + ((1 - keep) * key[i]);
            _valueAnchor[i] = (keep * _valueAnchor[i]) + ((1 - keep) * value[i]);
        }

        _tokens++;
        double weight = Variance(values) / (Variance(keys) + Variance(values) + 1e-8);
        return (weight * keys.Average()) + ((1 - weight) * values.Average());
    }

    private double[] Cosines(double[] x, double[] y)
    {
        int width = x.Length / kvHeads;
        return [.. Enumerable.Range(0, kvHeads).Select(head =>
        {
            double[] a = x[(head * width)..((head + 1) * width)], b = y[(head * width)..((head + 1) * width)];
            double norms = Math.Sqrt(a.Sum(v => v * v) * b.Sum(v => v * v));
            return norms > 0 ? a.Zip(b, (v, w) => v * w).Sum() / norms : 0;
        })];
    }

    private static double Variance(double[] values) => values.Average(v => v * v) - (values.Average() * values.Average());
}
