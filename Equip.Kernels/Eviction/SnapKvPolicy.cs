namespace Equip.Kernels.Eviction;

/// <summary>
/// SnapKV (arXiv 2404.14469): a row's score is the attention that the last <c>window</c> queries of the prompt pay it, pooled over its
/// neighbours; every head keeps its best rows and the window. Departure: the published code repeats K and V for every query head; here the
/// heads of a group are summed and share one set. The paper's LongBench settings are window 32 and kernel 7, max-pooled, its
/// code defaults to average; the kernel here is 15 by measurement (see <see cref="ScoringDefaults.Window32Pool15"/>).
/// </summary>
public sealed class SnapKvPolicy : ScoredPolicy
{
    /// <summary>Makes the policy of one sequence.</summary>
    /// <exception cref="ArgumentException">A parameter is out of its range, or the budget leaves nothing to choose.</exception>
    public SnapKvPolicy(PolicyOptions options)
        : base(options, Description, ScoringDefaults.Window32Pool15 with { AllocationIsOpen = true })
    {
    }

    /// <summary>The policy's row in the table.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "snapkv",
        Paper = "SnapKV, arXiv 2404.14469",
        Lossy = true,
        QueryAware = true,
        ActsAtPrefill = true,
        ActsAtDecode = false,
        Positions = "original",
        Defaults = "window 32, largest of 15 (paper: 7)",
    };

    internal override float[] Score(PromptLayer prompt, int first, int candidates)
        => Pool(prompt, WindowRecipes.Score(prompt, ScoreRecipe.AttentionSum, Queries(prompt), first, candidates));
}
