using Equip.Kernels.Attention;

namespace Equip.Tests.Reference;

/// <summary>Causal attention with sinks and a window, in double, one query at a time.</summary>
internal static class ReferencePrefillAttention
{
    /// <summary>Probabilities of every row for one head of one token; 0 for rows it does not see.</summary>
    /// <param name="shape">Heads, head dimension, scale.</param>
    /// <param name="queries"><c>[tokens, heads, headDim]</c>.</param>
    /// <param name="sinkQueries">Null or as <paramref name="queries"/>.</param>
    /// <param name="keys"><c>[kvHeads, rows, headDim]</c>.</param>
    /// <param name="rows">Past and new rows.</param>
    /// <param name="past">Rows before token 0.</param>
    /// <param name="window">0 for no window.</param>
    /// <param name="sinks">Rows that are always seen.</param>
    /// <param name="token">Token.</param>
    /// <param name="head">Query head.</param>
    public static double[] Probabilities(in AttentionShape shape, ReadOnlySpan<float> queries, ReadOnlySpan<float> sinkQueries, ReadOnlySpan<float> keys, int rows, int past, int window, int sinks, int token, int head)
    {
        int row = past + token, d = shape.HeadDim, at = ((token * shape.Heads) + head) * d;
        double[] weights = new double[rows];
        Array.Fill(weights, double.NegativeInfinity);
        for (int key = 0; key <= row; key++)
        {
            if (key >= sinks && window > 0 && key <= row - window) continue;
            ReadOnlySpan<float> q = (key < sinks && !sinkQueries.IsEmpty ? sinkQueries : queries).Slice(at, d);
            ReadOnlySpan<float> k = keys.Slice(((head / shape.Group * rows) + key) * d, d);
            double score = 0;
            for (int i = 0; i < d; i++) score += (double)q[i] * k[i];
            weights[key] = score * shape.Scale;
        }

        double largest = weights.Max(), sum = 0;
        for (int key = 0; key < rows; key++) sum += weights[key] = Math.Exp(weights[key] - largest);
        for (int key = 0; key < rows; key++) weights[key] /= sum;
        return weights;
    }

    /// <summary>Outputs <c>[tokens, heads, headDim]</c>.</summary>
    public static double[] Attend(in AttentionShape shape, ReadOnlySpan<float> queries, ReadOnlySpan<float> sinkQueries, ReadOnlySpan<float> keys, ReadOnlySpan<float> values, int past, int tokens, int window, int sinks)
    {
        int d = shape.HeadDim, rows = past + tokens;
        double[] output = new double[tokens * shape.Heads * d];
        for (int token = 0; token < tokens; token++)
            for (int head = 0; head < shape.Heads; head++)
            {
                double[] weights = Probabilities(shape, queries, sinkQueries, keys, rows, past, window, sinks, token, head);
                Span<double> sum = output.AsSpan(((token * shape.Heads) + head) * d, d);
                for (int key = 0; key < rows; key++)
                    for (int i = 0; i < d && weights[key] != 0; i++) sum[i] += weights[key] * values[(((head / shape.Group * rows) + key) * d) + i];
            }

        return output;
    }
}
