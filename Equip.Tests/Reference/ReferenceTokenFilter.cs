namespace Equip.Tests.Reference;

/// <summary>The decisions of Token Filtering in one layer, in double and as plain as they can be written: keys before rotation, fusion by variance.</summary>
internal sealed class ReferenceTokenFilter(int kvHeads, double rate, double gamma, double eta, int firstSample)
{
    private readonly List<double> _sample = [];
    private double[] _keyAnchor = [];
    private double[] _valueAnchor = [];
    private int _tokens;
    private double _step;
    private double _tooMany;

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

    /// <summary>How far a token's similarity lies above the threshold, which then moves as if the token had been filtered or not.</summary>
    public double Margin(double[] key, double[] value, bool filtered)
    {
        if (double.IsNaN(Threshold))
        {
            double[] sorted = [.. _sample.Order()];
            double place = (1 - rate) * (sorted.Length - 1);
            int below = (int)Math.Floor(place);
            Threshold = sorted[below] + ((place - below) * (sorted[Math.Min(below + 1, sorted.Length - 1)] - sorted[below]));
            double mean = sorted.Average();
            _step = eta * Math.Sqrt(sorted.Average(s => (s - mean) * (s - mean)));
        }

        double margin = Similarity(key, value) - Threshold;
        Move(filtered);
        return margin;
    }

    private void Move(bool above)
    {
        _tooMany += above ? 1 - rate : -rate;
        bool far = above ? _tooMany > 8 : _tooMany < -8;
        Threshold += _step * (above ? 1 - rate : -rate) * (far ? 8 : 1);
    }

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
