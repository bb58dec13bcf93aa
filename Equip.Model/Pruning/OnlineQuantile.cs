using System.Runtime.InteropServices;

namespace Equip.Model.Pruning;

/// <summary>
/// Picks a wanted share of a stream, the largest values: those above a threshold that starts as the quantile of a sample and then moves up
/// after every value above it and down after every other one. That alone is late where the stream is unlike the sample (a prompt that attends
/// is unlike tokens that do not). So, if the share is to be held, a choice that would take the number of picked values two points off the share is turned; and if the
/// newest values then lie all on one side of the threshold, it starts anew from them, whatever their place and scale [GUESS].
/// </summary>
/// <param name="rate">The share, above 0 and below 1.</param>
/// <param name="eta">Step, in standard deviations of the sample.</param>
/// <param name="holds">Whether the share is held.</param>
internal sealed class OnlineQuantile(double rate, double eta, bool holds)
{
    private const int Newest = 32, Fewest = 8;

    // How far the number of picked values may be off: two points of the values so far, counted as at least 64.
    private const double Off = 0.02;
    private const int LeastCount = 64;

    private readonly List<double> _sample = [];
    private readonly double[] _newest = new double[Newest];
    private double _step;
    private double _excess;
    private int _count;

    /// <summary>The threshold; not a number before the first <see cref="Picks"/>.</summary>
    public double Threshold { get; private set; } = double.NaN;

    /// <summary>Adds a value to the sample; after the start it only moves the threshold, unless it is not a number.</summary>
    public void Observe(double value)
    {
        if (double.IsNaN(Threshold)) _sample.Add(value);
        else if (!double.IsNaN(value)) _ = Exceeds(value);
    }

    /// <summary>Whether a value is picked. One that is not a number is not, and moves nothing.</summary>
    public bool Picks(double value)
    {
        if (double.IsNaN(Threshold))
        {
            _sample.RemoveAll(double.IsNaN);
            Start(CollectionsMarshal.AsSpan(_sample));
            _sample.Clear();
        }

        if (double.IsNaN(value)) return false;
        _newest[_count++ % Newest] = value;
        bool picked = Exceeds(value);
        if (holds && Math.Abs(_excess + (picked ? 1 : 0) - rate) > Off * Math.Max(_count, LeastCount))
        {
            picked = !picked;
            Span<double> newest = stackalloc double[Newest];
            _newest.CopyTo(newest);
            newest = newest[..Math.Min(_count, Newest)];
            int above = 0;
            foreach (double other in newest) above += other > Threshold ? 1 : 0;
            if (newest.Length >= Fewest && (above == 0 || above == newest.Length)) Start(newest);
        }

        _excess += (picked ? 1 : 0) - rate;
        return picked;
    }

    private bool Exceeds(double value)
    {
        bool above = value > Threshold;
        Threshold += _step * ((above ? 1 : 0) - rate);
        return above;
    }

    private void Start(Span<double> values)
    {
        values.Sort();
        Threshold = Quantile(values, 1 - rate);
        double mean = 0, squares = 0;
        foreach (double value in values) mean += value / values.Length;
        foreach (double value in values) squares += (value - mean) * (value - mean);
        _step = eta * Math.Sqrt(squares / Math.Max(1, values.Length));
    }

    /// <summary>Of sorted values, linear between them; 0 of none.</summary>
    private static double Quantile(ReadOnlySpan<double> sorted, double share)
    {
        if (sorted.Length == 0) return 0;
        double place = share * (sorted.Length - 1);
        int below = (int)place, above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + ((place - below) * (sorted[above] - sorted[below]));
    }
}
