namespace Equip.Model.Pruning;

/// <summary>What Token Filtering did, layer by layer: (token, layer) pairs that it decided about and those that it filtered.</summary>
public sealed class FilterStatistics
{
    private readonly long[] _decided;
    private readonly long[] _skipped;
    private readonly double[] _similarity;

    internal FilterStatistics(int layers) : this(new long[layers], new long[layers], new double[layers])
    {
    }

    private FilterStatistics(long[] decided, long[] skipped, double[] similarity) => (_decided, _skipped, _similarity) = (decided, skipped, similarity);

    /// <summary>Decisions over all layers; warm-up and prompt tokens are not decided about.</summary>
    public long Decided => _decided.Sum();

    /// <summary>Share of the decisions that filtered; not a number without decisions.</summary>
    public double Ratio => (double)_skipped.Sum() / Decided;

    /// <summary>The same for every layer.</summary>
    public IReadOnlyList<double> RatioByLayer => [.. _skipped.Select((count, layer) => (double)count / _decided[layer])];

    /// <summary>Mean similarity to the anchors in every layer; 0 in layers that do not filter.</summary>
    public IReadOnlyList<double> SimilarityByLayer => [.. _similarity.Select((sum, layer) => sum / _decided[layer])];

    /// <summary>A copy that does not count on.</summary>
    public FilterStatistics Copy() => new([.. _decided], [.. _skipped], [.. _similarity]);

    /// <summary>What was counted since an earlier copy.</summary>
    public FilterStatistics Since(FilterStatistics earlier)
    {
        ArgumentNullException.ThrowIfNull(earlier);
        return new(
            [.. _decided.Zip(earlier._decided, (now, then) => now - then)],
            [.. _skipped.Zip(earlier._skipped, (now, then) => now - then)],
            [.. _similarity.Zip(earlier._similarity, (now, then) => now - then)]);
    }

    internal void Count(int layer, bool skipped, double similarity)
    {
        _decided[layer]++;
        if (skipped) _skipped[layer]++;
        _similarity[layer] += similarity;
    }
}
