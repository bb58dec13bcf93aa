namespace Equip.Kernels.Eviction;

/// <summary>
/// KeyDiff (arXiv 2504.15364): the keys that differ most from the others stay; the score is the negative cosine to the mean of all
/// keys scaled to length 1. Keys are taken as stored, rotated. No row is protected unless a window is asked for. The paper's block-wise
/// prefill is not done: the prompt is pruned once.
/// </summary>
public sealed class KeyDiffPolicy : ScoredPolicy
{
    /// <summary>Makes the policy of one sequence.</summary>
    /// <exception cref="ArgumentException">A parameter is out of its range, or the budget leaves nothing to choose.</exception>
    public KeyDiffPolicy(PolicyOptions options)
        : base(options, Description, new ScoringDefaults { AllocationIsOpen = true })
    {
    }

    /// <summary>The policy's row in the table.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "keydiff",
        Paper = "KeyDiff, arXiv 2504.15364",
        Lossy = true,
        QueryAware = false,
        ActsAtPrefill = true,
        ActsAtDecode = false,
        Positions = "original",
        Defaults = "no window",
    };

    internal override float[] Score(PromptLayer prompt, int first, int candidates)
    {
        int headDim = prompt.Shape.HeadDim;
        float[] scores = new float[prompt.Shape.KvHeads * candidates];
        for (int head = 0; head < prompt.Shape.KvHeads; head++)
        {
            float[] keys = prompt.WidenKeys(head, 0, prompt.Rows);
            double[] sum = new double[headDim];
            for (int row = 0; row < prompt.Rows; row++)
            {
                Span<float> key = keys.AsSpan(row * headDim, headDim);
                float norm = RowMath.Norm2(key);
                for (int i = 0; i < headDim && norm > 0; i++) sum[i] += key[i] /= norm;
            }

            float[] mean = Array.ConvertAll(sum, element => (float)(element / prompt.Rows));
            float length = RowMath.Norm2(mean);
            for (int i = 0; i < candidates; i++)
                scores[(head * candidates) + i] = length > 0 ? -RowMath.Dot(keys.AsSpan((first + i) * headDim, headDim), mean) / length : 0;
        }

        return scores;
    }
}
