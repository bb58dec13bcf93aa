namespace Equip.Kernels.Eviction;

/// <summary>
/// Ada-KV (arXiv 2407.11550): SnapKV's score, but the heads of a layer compete for its budget; each keeps its best fifth of the even share.
/// The safeguarded rows are part of the choice (kvpress's rule), so the budget is exact; the authors' rule, which shrinks counts towards the
/// even share by rounding, is not. The paper pools 7 scores; the default here is the largest of 15, by measurement.
/// </summary>
public sealed class AdaKvPolicy : ScoredPolicy
{
    /// <summary>Makes the policy of one sequence.</summary>
    /// <exception cref="ArgumentException">A parameter is out of its range, or the budget leaves nothing to choose.</exception>
    public AdaKvPolicy(PolicyOptions options)
        : base(options, Description, ScoringDefaults.Window32Pool15 with { Allocation = Allocation.Layer, Floor = 0.2 })
    {
    }

    /// <summary>The policy's row in the table.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "adakv",
        Paper = "Ada-KV, arXiv 2407.11550",
        Lossy = true,
        QueryAware = true,
        ActsAtPrefill = true,
        ActsAtDecode = false,
        Positions = "original",
        Defaults = "window 32, largest of 15 (paper: 7), floor 1/5",
    };

    internal override float[] Score(PromptLayer prompt, int first, int candidates)
        => Pool(prompt, WindowRecipes.Score(prompt, ScoreRecipe.AttentionSum, Queries(prompt), first, candidates));
}
