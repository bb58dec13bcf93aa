using Equip.Kernels.Rope;

namespace Equip.Tests.Reference;

/// <summary>RoPE in double, from the published formulas: angles straight from position times frequency, one pair at a time.</summary>
internal static class ReferenceRope
{
    public static double[] Default(double theta, int dim) => [.. Enumerable.Range(0, dim / 2).Select(i => 1 / Math.Pow(theta, 2.0 * i / dim))];

    /// <summary>Llama 3.1's published scaling, by wavelength.</summary>
    public static double[] Llama3(double theta, int dim, double factor, double low, double high, double original)
    {
        double[] frequencies = Default(theta, dim);
        for (int i = 0; i < frequencies.Length; i++)
        {
            double wavelength = 2 * Math.PI / frequencies[i];
            if (wavelength < original / high) continue;
            double smooth = wavelength > original / low ? 0 : ((original / wavelength) - low) / (high - low);
            frequencies[i] = ((1 - smooth) * frequencies[i] / factor) + (smooth * frequencies[i]);
        }

        return frequencies;
    }

    /// <summary>YaRN's by-part interpolation (arXiv 2309.00071, equations 17 to 23, with the pair index as the ramp's variable, as the published code has it).</summary>
    public static double[] Yarn(double theta, int dim, double factor, double betaFast, double betaSlow, double original, bool truncate)
    {
        double[] extrapolated = Default(theta, dim);
        double low = Index(betaFast), high = Index(betaSlow);
        if (truncate) (low, high) = (Math.Floor(low), Math.Ceiling(high));
        (low, high) = (Math.Max(low, 0), Math.Min(high, dim - 1));
        return [.. extrapolated.Select((frequency, i) =>
        {
            double kept = 1 - Math.Min(1, Math.Max(0, (i - low) / (low == high ? 0.001 : high - low)));
            return (frequency / factor * (1 - kept)) + (frequency * kept);
        })];

        double Index(double turns) => dim * Math.Log(original / (turns * 2 * Math.PI)) / (2 * Math.Log(theta));
    }

    /// <summary>One row, rotated by cosines and sines of its pairs; elements past the pairs are copied.</summary>
    public static double[] Rotate(ReadOnlySpan<float> row, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin, RopeLayout layout)
    {
        double[] rotated = new double[row.Length];
        for (int i = 0; i < row.Length; i++) rotated[i] = row[i];
        for (int i = 0; i < cos.Length; i++)
        {
            int a = layout == RopeLayout.HalfSplit ? i : 2 * i, b = layout == RopeLayout.HalfSplit ? i + cos.Length : (2 * i) + 1;
            rotated[a] = ((double)row[a] * cos[i]) - ((double)row[b] * sin[i]);
            rotated[b] = ((double)row[b] * cos[i]) + ((double)row[a] * sin[i]);
        }

        return rotated;
    }

    public static double Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++) sum += (double)a[i] * b[i];
        return sum;
    }
}
