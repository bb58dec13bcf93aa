namespace Equip.Kernels.Eviction;

/// <summary>
/// PyramidKV (arXiv 2406.02069): SnapKV's score, with a budget that falls linearly from the first layer to the last: from 2n - n / 20 chosen
/// rows to n / 20, where n is the even share. Departure: the published integer rule overshoots the budget; here counts are rounded in
/// pairs (layer l and its mirror image) and the mean is the budget. Where a layer's count exceeds its candidates the rest is not used. The paper
/// pools 7 scores; the default here is the largest of 15, by measurement.
/// </summary>
public sealed class PyramidKvPolicy : ScoredPolicy
{
    private const double Steepness = 20;

    /// <summary>Makes the policy of one sequence.</summary>
    /// <exception cref="ArgumentException">A parameter is out of its range, or the budget leaves nothing to choose.</exception>
    public PyramidKvPolicy(PolicyOptions options)
        : base(options, Description, ScoringDefaults.Window32Pool15)
    {
    }

    /// <summary>The policy's row in the table.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "pyramidkv",
        Paper = "PyramidKV, arXiv 2406.02069",
        Lossy = true,
        QueryAware = true,
        ActsAtPrefill = true,
        ActsAtDecode = false,
        Positions = "original",
        Defaults = "window 32, largest of 15 (paper: 7)",
    };

    /// <summary>Rows that a layer chooses when the even share is <paramref name="even"/>.</summary>
    internal static int Share(int even, int layer, int layers)
    {
        if (layers - 1 - layer < layer) return (2 * even) - Share(even, layers - 1 - layer, layers);
        if (2 * layer == layers - 1) return even;
        double least = even / Steepness, most = (2.0 * even) - least;
        return (int)Math.Floor(most - (layer * (most - least) / (layers - 1)) + 0.5);
    }

    internal override float[] Score(PromptLayer prompt, int first, int candidates)
        => Pool(prompt, WindowRecipes.Score(prompt, ScoreRecipe.AttentionSum, Queries(prompt), first, candidates));

    private protected override int ChosenOfLayer(int layer, int layers, int candidates) => Math.Min(Share(Chosen, layer, layers), candidates);
}
