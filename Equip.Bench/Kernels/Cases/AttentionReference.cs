using Equip.Kernels.Attention;

namespace Equip.Bench.Kernels.Cases;

/// <summary>Attention of one query over consecutive rows, by plain loops in double.</summary>
internal sealed class AttentionReference
{
    /// <summary>The size of a usual query element: scores then spread, and no row takes all of the probability.</summary>
    public const float QueryScale = 0.3f;

    // Scores are sums of some hundred products in float32, and their error is one of the exponent.
    private const double RelativeError = 1e-3;

    /// <summary>Computes it.</summary>
    /// <param name="shape">Head dimension and scale.</param>
    /// <param name="queries">Holds the query.</param>
    /// <param name="query">Its first element.</param>
    /// <param name="keys">K rows.</param>
    /// <param name="values">V rows.</param>
    /// <param name="copy">The copy of K and V.</param>
    /// <param name="firstRow">The first row.</param>
    /// <param name="rows">Rows.</param>
    public AttentionReference(in AttentionShape shape, Operand queries, long query, Operand keys, Operand values, int copy, long firstRow, int rows)
    {
        int headDim = shape.HeadDim;
        Probabilities = new double[rows];
        for (int row = 0; row < rows; row++)
        {
            double score = 0;
            for (int i = 0; i < headDim; i++) score += queries.Value(0, query + i) * keys.Value(copy, ((firstRow + row) * headDim) + i);
            Probabilities[row] = score * shape.Scale;
        }

        double max = Probabilities.Max();
        for (int row = 0; row < rows; row++) Probabilities[row] = Math.Exp(Probabilities[row] - max);
        double sum = Probabilities.Sum();
        Output = new double[headDim];
        Tolerance = new double[headDim];
        for (int row = 0; row < rows; row++)
        {
            Probabilities[row] /= sum;
            for (int i = 0; i < headDim; i++)
            {
                double part = Probabilities[row] * values.Value(copy, ((firstRow + row) * headDim) + i);
                Output[i] += part;
                Tolerance[i] += Math.Abs(part) * RelativeError;
            }
        }
    }

    /// <summary><c>[rows]</c>.</summary>
    public double[] Probabilities { get; }

    /// <summary><c>[headDim]</c>.</summary>
    public double[] Output { get; }

    /// <summary><c>[headDim]</c>: how far float32 may be from <see cref="Output"/>.</summary>
    public double[] Tolerance { get; }

    /// <summary>How far float32 may be from a probability.</summary>
    public static double ToleranceOf(double probability) => (probability * RelativeError) + 1e-9;

    /// <summary>"32q8kv128": query heads, KV heads, head dimension.</summary>
    public static string Name(in AttentionShape shape) => $"{shape.Heads}q{shape.KvHeads}kv{shape.HeadDim}";
}
