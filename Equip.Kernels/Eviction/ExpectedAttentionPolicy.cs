using Equip.Kernels.Attention;
using Equip.Kernels.Linear;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;

namespace Equip.Kernels.Eviction;

/// <summary>
/// ExpectedAttention (arXiv 2510.00636, kvpress): what the next 512 queries would pay a key if they were drawn from a normal distribution
/// with the mean and covariance of the prompt's queries before rotation, rotated by the mean rotation over those positions:
/// softmax(k' mu / sqrt(d) + k' Sigma k / 2d), averaged over the group, times |v|_2. The first 4 rows always stay, and are left out of
/// mean, covariance and softmax.
/// </summary>
public sealed unsafe class ExpectedAttentionPolicy : ScoredPolicy
{
    private const int SinkRows = 4;
    private const int FuturePositions = 512;

    /// <summary>Makes the policy of one sequence.</summary>
    /// <exception cref="ArgumentException">A parameter is out of its range, or the budget leaves nothing to choose.</exception>
    public ExpectedAttentionPolicy(PolicyOptions options)
        : base(options, Description, new ScoringDefaults { First = SinkRows, AllocationIsOpen = true })
    {
    }

    /// <summary>The policy's row in the table.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "expected",
        Paper = "Expected Attention, arXiv 2510.00636",
        Lossy = true,
        QueryAware = true,
        ActsAtPrefill = true,
        ActsAtDecode = false,
        Positions = "original",
        Defaults = "first 4, next 512 positions",
    };

    /// <inheritdoc/>
    public override int PromptQueryTokens => int.MaxValue;

    /// <inheritdoc/>
    public override bool WantsUnrotatedQueries => true;

    internal override float[] Score(PromptLayer prompt, int first, int candidates)
    {
        AttentionShape shape = prompt.Shape;
        int rows = prompt.Rows - SinkRows, headDim = shape.HeadDim;
        (float[] cos, float[] sin) = MeanRotation(prompt);
        float[] scores = new float[shape.KvHeads * candidates], logits = new float[rows], expected = new float[rows];
        for (int kvHead = 0; kvHead < shape.KvHeads; kvHead++)
        {
            float[] keys = prompt.WidenKeys(kvHead, SinkRows, rows);
            expected.AsSpan().Clear();
            for (int head = kvHead * shape.Group; head < (kvHead + 1) * shape.Group; head++)
            {
                (float[] mean, float[] covariance) = Statistics(prompt, head);
                Rotate(prompt, mean, 1, cos, sin);
                Rotate(prompt, covariance, headDim, cos, sin);
                Transpose(covariance, headDim);
                Rotate(prompt, covariance, headDim, cos, sin);
                float[] forms = ValueTerms.Forms(prompt, keys, rows, covariance);
                for (int i = 0; i < rows; i++)
                    logits[i] = (RowMath.Dot(keys.AsSpan(i * headDim, headDim), mean) * shape.Scale) + (forms[i] * shape.Scale * shape.Scale / 2);
                Softmax.Normalize(prompt.Context, logits, logits, 1, rows);
                ScoreSums.Add(expected, logits);
            }

            float[] norms = ValueTerms.Norms(prompt.WidenValues(kvHead, first, candidates), headDim, candidates, 2);
            for (int i = 0; i < candidates; i++) scores[(kvHead * candidates) + i] = expected[first - SinkRows + i] / shape.Group * norms[i];
        }

        return scores;
    }

    /// <summary>Mean <c>[headDim]</c> and covariance <c>[headDim, headDim]</c> of a query head's queries, those of the first rows left out.</summary>
    internal static (float[] Mean, float[] Covariance) Statistics(PromptLayer prompt, int head)
    {
        int headDim = prompt.Shape.HeadDim, width = prompt.Shape.Heads * headDim;
        int skip = Math.Clamp(SinkRows - (prompt.Rows - prompt.QueryTokens), 0, prompt.QueryTokens - 1), count = prompt.QueryTokens - skip;
        float[] mean = new float[headDim], centred = new float[checked(headDim * count)], covariance = new float[headDim * headDim];
        for (int i = 0; i < headDim; i++)
        {
            float* column = prompt.Queries + ((long)skip * width) + (head * headDim) + i;
            double sum = 0;
            for (int token = 0; token < count; token++) sum += column[(long)token * width];
            mean[i] = (float)(sum / count);
            for (int token = 0; token < count; token++) centred[(i * count) + token] = column[(long)token * width] - mean[i];
        }

        fixed (float* weights = centred) LinearLayer.Multiply(prompt.Context, new WeightMatrix(weights, DataType.F32, headDim, count), centred, covariance, headDim);
        foreach (ref float element in covariance.AsSpan()) element /= count;
        return (mean, covariance);
    }

    /// <summary>Cosines and sines, averaged over the positions to come; empty without a rotation.</summary>
    private static (float[] Cos, float[] Sin) MeanRotation(PromptLayer prompt)
    {
        if (prompt.Rope is not { } rope) return ([], []);
        int next = prompt.Positions.Span[prompt.Rows - 1] + 1;
        float[] cos = new float[FuturePositions * rope.Pairs], sin = new float[cos.Length];
        rope.Fill([.. Enumerable.Range(next, FuturePositions)], cos, sin);
        return (Mean(cos), Mean(sin));

        float[] Mean(float[] angles) =>
            [.. Enumerable.Range(0, rope.Pairs).Select(pair => (float)Enumerable.Range(0, FuturePositions).Average(position => (double)angles[(position * rope.Pairs) + pair]))];
    }

    private static void Rotate(PromptLayer prompt, float[] rows, int count, float[] cos, float[] sin)
    {
        if (prompt.Rope is { } rope) RopeRotation.Rotate(prompt.Context, rope, rows, rows, cos, sin, 1, count);
    }

    private static void Transpose(float[] matrix, int size)
    {
        for (int i = 0; i < size; i++)
            for (int j = 0; j < i; j++) (matrix[(i * size) + j], matrix[(j * size) + i]) = (matrix[(j * size) + i], matrix[(i * size) + j]);
    }
}
