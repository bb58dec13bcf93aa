namespace Equip.Bench.Decode;

/// <summary>Means and spread of samples.</summary>
internal static class Statistics
{
    /// <summary>Sample standard deviation (n - 1); 0 for one sample, as llama-bench has it.</summary>
    public static double Deviation(IReadOnlyCollection<double> samples)
    {
        if (samples.Count < 2) return 0;
        double mean = samples.Average();
        return Math.Sqrt(samples.Sum(sample => (sample - mean) * (sample - mean)) / (samples.Count - 1));
    }

    /// <summary>The middle sample, or the mean of the two in the middle.</summary>
    public static double Median(IEnumerable<double> samples)
    {
        double[] sorted = [.. samples.Order()];
        return (sorted[sorted.Length / 2] + sorted[(sorted.Length - 1) / 2]) / 2;
    }

    /// <summary>The mean of ratios: the root of their product.</summary>
    public static double GeometricMean(IEnumerable<double> ratios) => Math.Exp(ratios.Average(Math.Log));
}
