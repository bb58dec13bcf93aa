namespace Equip.Model.Pruning;

/// <summary>
/// A threshold that a wanted share of a stream exceeds: it starts as the quantile of a sample and then moves up after every value above it
/// and down after every other one, so that the share is met whatever the distribution does. Far behind the share it moves faster: a short
/// generation after an unlike prompt would miss it otherwise [GUESS].
/// </summary>
/// <param name="rate">The share, above 0 and below 1.</param>
/// <param name="eta">Step, in standard deviations of the sample.</param>
internal sealed class OnlineQuantile(double rate, double eta)
{
    private const double LeastDeviation = 1e-6;
    private const double Behind = 8, CatchUp = 8;   // values too many or too few above the threshold; times the step

    private readonly List<double> _sample = [];
    private double _step;
    private double _excess;

    /// <summary>The threshold; not a number before the first <see cref="Exceeds"/>.</summary>
    public double Threshold { get; private set; } = double.NaN;

    /// <summary>Adds a value to the sample; after the start it only moves the threshold.</summary>
    public void Observe(double value)
    {
        if (double.IsNaN(Threshold)) _sample.Add(value);
        else _ = Exceeds(value);
    }

    /// <summary>Whether a value is above the threshold, which then moves. A value that is not a number is not, and moves nothing.</summary>
    public bool Exceeds(double value)
    {
        if (double.IsNaN(Threshold)) Start();
        if (double.IsNaN(value)) return false;
        bool above = value > Threshold;
        double miss = (above ? 1 : 0) - rate;
        _excess += miss;
        Threshold += _step * miss * (Math.Abs(_excess) > Behind && _excess * miss > 0 ? CatchUp : 1);
        return above;
    }

    private void Start()
    {
        _sample.RemoveAll(double.IsNaN);
        _sample.Sort();
        Threshold = Quantile(1 - rate);
        double mean = _sample.Count == 0 ? 0 : _sample.Average();
        double deviation = _sample.Count == 0 ? 0 : Math.Sqrt(_sample.Average(value => (value - mean) * (value - mean)));
        _step = eta * Math.Max(deviation, LeastDeviation);
        _sample.Clear();
    }

    /// <summary>Of the sorted sample, linear between its values.</summary>
    private double Quantile(double share)
    {
        if (_sample.Count == 0) return 0;
        double place = share * (_sample.Count - 1);
        int below = (int)place, above = Math.Min(below + 1, _sample.Count - 1);
        return _sample[below] + ((place - below) * (_sample[above] - _sample[below]));
    }
}
