namespace Equip.Tests.Reference;

/// <summary>Linear layers as plain loops in double.</summary>
internal static class ReferenceLinear
{
    /// <summary>y[b, r] = sum over c of W[r, c] x[b, c], and the same sum of magnitudes, which rounding errors are measured by.</summary>
    public static (double[] Products, double[] Magnitudes) Multiply(ReadOnlySpan<double> weights, int rows, int columns, ReadOnlySpan<float> inputs, int batch)
    {
        double[] products = new double[batch * rows], magnitudes = new double[batch * rows];
        for (int b = 0; b < batch; b++)
        {
            for (int r = 0; r < rows; r++)
            {
                for (int c = 0; c < columns; c++)
                {
                    double product = weights[(r * columns) + c] * inputs[(b * columns) + c];
                    products[(b * rows) + r] += product;
                    magnitudes[(b * rows) + r] += Math.Abs(product);
                }
            }
        }

        return (products, magnitudes);
    }

    /// <summary>Inputs as a Q8 product sees them: in blocks of 32, rounded to multiples of a 127th of the block's largest magnitude.</summary>
    public static float[] RoundInputs(ReadOnlySpan<float> inputs)
    {
        float[] rounded = new float[inputs.Length];
        for (int start = 0; start < inputs.Length; start += 32)
        {
            float largest = 0;
            foreach (float value in inputs.Slice(start, 32)) largest = Math.Max(largest, Math.Abs(value));
            if (largest == 0) continue;
            for (int i = start; i < start + 32; i++) rounded[i] = MathF.Round(inputs[i] * (127 / largest)) * (largest / 127);
        }

        return rounded;
    }
}
