namespace Equip.Bench.Decode;

/// <summary>Mean and spread of samples.</summary>
internal static class Statistics
{
    /// <summary>Sample standard deviation (n - 1); 0 for one sample, as llama-bench has it.</summary>
    public static double Deviation(IReadOnlyCollection<double> samples)
    {
        if (samples.Count < 2) return 0;
        double mean = samples.Average();
        return Math.Sqrt(samples.Sum(sample => (sample - mean) * (sample - mean)) / (samples.Count - 1));
    }
}
