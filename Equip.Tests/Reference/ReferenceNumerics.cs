namespace Equip.Tests.Reference;

/// <summary>Plain loops in double.</summary>
internal static class ReferenceNumerics
{
    public static double[] Softmax(ReadOnlySpan<float> input, int rows, int columns)
    {
        double[] output = new double[rows * columns];
        for (int r = 0; r < rows; r++)
        {
            double max = double.NegativeInfinity, sum = 0;
            bool nan = false;
            for (int c = 0; c < columns; c++)
            {
                double x = input[(r * columns) + c];
                nan |= double.IsNaN(x) || double.IsPositiveInfinity(x);
                max = x > max ? x : max;
            }

            for (int c = 0; c < columns; c++) sum += Math.Exp(input[(r * columns) + c] - max);
            for (int c = 0; c < columns; c++)
                output[(r * columns) + c] = nan ? double.NaN : double.IsNegativeInfinity(max) ? 0 : Math.Exp(input[(r * columns) + c] - max) / sum;
        }

        return output;
    }

    public static double[] RmsNorm(ReadOnlySpan<float> input, ReadOnlySpan<float> weight, double epsilon, int rows)
    {
        int columns = weight.Length;
        double[] output = new double[rows * columns];
        for (int r = 0; r < rows; r++)
        {
            double squares = 0;
            for (int c = 0; c < columns; c++) squares += (double)input[(r * columns) + c] * input[(r * columns) + c];
            for (int c = 0; c < columns; c++) output[(r * columns) + c] = input[(r * columns) + c] / Math.Sqrt((squares / columns) + epsilon) * weight[c];
        }

        return output;
    }

    public static double[] SwiGlu(ReadOnlySpan<float> gate, ReadOnlySpan<float> up)
    {
        double[] output = new double[gate.Length];
        for (int i = 0; i < output.Length; i++) output[i] = gate[i] / (1 + Math.Exp(-(double)gate[i])) * up[i];
        return output;
    }

    public static double[] AveragePool(ReadOnlySpan<float> scores, int kernel)
    {
        double[] output = new double[scores.Length];
        for (int i = 0; i < output.Length; i++)
            for (int k = i - (kernel / 2); k <= i + (kernel / 2); k++)
                if (k >= 0 && k < scores.Length) output[i] += (double)scores[k] / kernel;
        return output;
    }

    public static float[] MaxPool(ReadOnlySpan<float> scores, int kernel)
    {
        float[] output = new float[scores.Length];
        for (int i = 0; i < output.Length; i++)
        {
            output[i] = float.NegativeInfinity;
            for (int k = i - (kernel / 2); k <= i + (kernel / 2); k++)
                if (k >= 0 && k < scores.Length) output[i] = MathF.Max(output[i], scores[k]);
        }

        return output;
    }

    /// <summary>All indices, largest value first; equal values by ascending index; NaN last.</summary>
    public static int[] Order(float[] values)
        => [.. Enumerable.Range(0, values.Length).OrderBy(i => float.IsNaN(values[i])).ThenByDescending(i => values[i]).ThenBy(i => i)];

    /// <summary>The bfloat16 nearest to a finite value, ties to even: the better of the two neighbours, in exact double arithmetic.</summary>
    public static ushort NearestBF16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        uint below = bits >> 16, above = below + 1;
        double low = Magnitude(below), high = Magnitude(above), x = Math.Abs((double)value);
        double toLow = x - low, toHigh = high - x;
        return (ushort)(toLow < toHigh || (toLow == toHigh && below % 2 == 0) ? below : above);
    }

    // Infinity counts as the power of two that would follow the largest value: IEEE 754's overflow rule.
    private static double Magnitude(uint brain)
    {
        float value = BitConverter.UInt32BitsToSingle((brain & 0x7fff) << 16);
        return float.IsInfinity(value) ? Math.Pow(2, 128) : value;
    }
}
