namespace Equip.Kernels.Rope;

/// <summary>
/// Inverse frequencies as Hugging Face Transformers defines each rope type (<c>modeling_rope_utils.py</c>), but in double;
/// Transformers rounds them to float32.
/// </summary>
internal static class RopeFrequencies
{
    /// <summary>Radians per position of every pair.</summary>
    public static double[] Compute(RopeOptions options, int rotaryDim)
    {
        double[] frequencies = new double[rotaryDim / 2];
        for (int i = 0; i < frequencies.Length; i++) frequencies[i] = Math.Pow(options.Theta, -2.0 * i / rotaryDim);
        switch (options.Type)
        {
            case RopeType.Linear:
                for (int i = 0; i < frequencies.Length; i++) frequencies[i] /= options.Factor;
                break;
            case RopeType.Llama3:
                for (int i = 0; i < frequencies.Length; i++) frequencies[i] = Llama3(options, frequencies[i]);
                break;
            case RopeType.Yarn:
                Yarn(options, rotaryDim, frequencies);
                break;
            default:
                break;
        }

        return frequencies;
    }

    /// <summary>The factor of cos and sin: 1 unless yarn (arXiv 2309.00071, section 3.4).</summary>
    public static double AttentionFactor(RopeOptions options)
    {
        if (options.Type != RopeType.Yarn) return 1;
        if (options.AttentionFactor != 0) return options.AttentionFactor;
        return options.MScale != 0 && options.MScaleAllDim != 0
            ? Magnitude(options.Factor, options.MScale) / Magnitude(options.Factor, options.MScaleAllDim)
            : Magnitude(options.Factor, 1);
    }

    private static double Magnitude(double factor, double scale) => factor <= 1 ? 1 : (0.1 * scale * Math.Log(factor)) + 1;

    private static double Llama3(RopeOptions options, double frequency)
    {
        double turns = options.OriginalMaxPositions * frequency / (2 * Math.PI);
        if (turns > options.HighFrequencyFactor) return frequency;
        if (turns < options.LowFrequencyFactor) return frequency / options.Factor;
        double smooth = (turns - options.LowFrequencyFactor) / (options.HighFrequencyFactor - options.LowFrequencyFactor);
        return ((1 - smooth) * frequency / options.Factor) + (smooth * frequency);
    }

    private static void Yarn(RopeOptions options, int rotaryDim, double[] frequencies)
    {
        double low = PairOfTurns(options, rotaryDim, options.BetaFast), high = PairOfTurns(options, rotaryDim, options.BetaSlow);
        if (options.Truncate)
        {
            low = Math.Floor(low);
            high = Math.Ceiling(high);
        }

        // The upper clamp is rotaryDim - 1, not pairs - 1: so the published code has it.
        low = Math.Max(low, 0);
        high = Math.Min(high, rotaryDim - 1);
        if (low == high) high += 0.001;
        for (int i = 0; i < frequencies.Length; i++)
        {
            double interpolated = Math.Clamp((i - low) / (high - low), 0, 1);
            frequencies[i] = (frequencies[i] / options.Factor * interpolated) + (frequencies[i] * (1 - interpolated));
        }
    }

    /// <summary>The (fractional) pair that turns <paramref name="turns"/> times over the original context.</summary>
    private static double PairOfTurns(RopeOptions options, int rotaryDim, double turns)
        => rotaryDim * Math.Log(options.OriginalMaxPositions / (turns * 2 * Math.PI)) / (2 * Math.Log(options.Theta));
}
