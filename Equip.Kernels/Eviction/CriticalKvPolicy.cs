using Equip.Kernels.Attention;

namespace Equip.Kernels.Eviction;

/// <summary>
/// CriticalKV (arXiv 2502.03805): half of the chosen rows are SnapKV's best; the others have the highest (score + 1e-4) |v W_O|_1, with the
/// score as a mean over the window's queries and the group's heads, and the norm as a mean over the group (kvpress's scale). Either every
/// head keeps the same number, or the heads of a layer compete as in Ada-KV (the name critical-adakv). The paper pools 7 scores; the default
/// here is the largest of 15, by measurement.
/// </summary>
public sealed class CriticalKvPolicy : ScoredPolicy
{
    private const float Epsilon = 1e-4f;
    private const double FirstStage = 0.5;

    /// <summary>Makes the policy of one sequence.</summary>
    /// <param name="options">Its parameters.</param>
    /// <param name="adaptive">Whether the heads of a layer compete.</param>
    /// <exception cref="ArgumentException">A parameter is out of its range, or the budget leaves nothing to choose.</exception>
    public CriticalKvPolicy(PolicyOptions options, bool adaptive = false)
        : base(options, adaptive ? AdaptiveDescription : Description, ScoringDefaults.Window32Pool15 with { Allocation = adaptive ? Allocation.Layer : Allocation.Head })
    {
    }

    /// <summary>The policy's row in the table.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "criticalkv",
        Paper = "CriticalKV, arXiv 2502.03805",
        Lossy = true,
        QueryAware = true,
        ActsAtPrefill = true,
        ActsAtDecode = false,
        Positions = "original",
        Defaults = "window 32, largest of 15 (paper: average of 7), first half by SnapKV",
    };

    /// <summary>The row of the form whose heads compete.</summary>
    public static PolicyInfo AdaptiveDescription { get; } = Description with
    {
        Name = "critical-adakv",
        Paper = "CriticalKV with Ada-KV, arXiv 2502.03805",
        Guesses = "the first stage's half of the even share stands in for Ada-KV's fifth",
    };

    internal override float[] Score(PromptLayer prompt, int first, int candidates)
    {
        AttentionShape shape = prompt.Shape;
        int window = Queries(prompt);
        float[] scores = Pool(prompt, WindowRecipes.Score(prompt, ScoreRecipe.AttentionSum, window, first, candidates));
        int[][] best = RowSelection.OfHeads(scores, shape.KvHeads, (int)(FirstStage * Chosen));
        for (int head = 0; head < shape.KvHeads; head++)
        {
            float[] norms = WindowRecipes.MeanOfHeads(prompt, ValueTerm.Output1, prompt.WidenValues(head, first, candidates), candidates, head);
            for (int i = 0; i < candidates; i++)
            {
                ref float score = ref scores[(head * candidates) + i];
                score = ((score / (window * shape.Group)) + Epsilon) * norms[i];
            }
        }

        RowSelection.Raise(scores, shape.KvHeads, best);
        return scores;
    }
}
