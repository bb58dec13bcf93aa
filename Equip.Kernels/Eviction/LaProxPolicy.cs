namespace Equip.Kernels.Eviction;

/// <summary>
/// LaProx (arXiv 2605.07234): a row's score approximates what the layer's output loses with it, |A[:, i]|_2 |v_i W_O|_2 over the last
/// <c>window</c> queries, pooled; each layer's scores are divided by their sum, and one top-k over all rows of all heads and layers
/// decides. It is made layer by layer (<see cref="StreamedTopK"/>), so that the memory needed is the kept rows and one layer. Pooling
/// is after the product, the sum leaves the window out, keys keep their positions, and the group is read as <see cref="ScoreReading.Joint"/>
/// unless told otherwise: the paper leaves these open. Its settings are window 32 and average over 7; the default here is the largest of
/// 15, by measurement.
/// </summary>
public sealed class LaProxPolicy : ScoredPolicy
{
    /// <summary>Makes the policy of one sequence.</summary>
    /// <exception cref="ArgumentException">A parameter is out of its range, or the budget leaves nothing to choose.</exception>
    public LaProxPolicy(PolicyOptions options)
        : base(options, Description, ScoringDefaults.Window32Pool15 with { Allocation = Allocation.Model, AllocationIsOpen = true, Reduction = ColumnReduction.L2, Reading = ScoreReading.Joint })
    {
    }

    /// <summary>The policy's row in the table.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "laprox",
        Paper = "LaProx, arXiv 2605.07234",
        Lossy = true,
        QueryAware = true,
        ActsAtPrefill = true,
        ActsAtDecode = false,
        Positions = "original",
        Defaults = "window 32, largest of 15 (paper: average of 7), reading joint, allocation model",
        Guesses = "which W_O stands for a group (--reading); pooling after the product; the sum without the window",
    };

    internal override float[] Score(PromptLayer prompt, int first, int candidates)
        => Pool(prompt, WindowRecipes.Score(prompt, Recipe(Scoring), Queries(prompt), first, candidates));

    private static ScoreRecipe Recipe(PolicyOptions options) => options.Reading switch
    {
        ScoreReading.Mean => new(options.Reduction, GroupReduction.MeanAttention, ValueTerm.Output2),
        ScoreReading.Product => new(options.Reduction, GroupReduction.Sum, ValueTerm.Output2),
        ScoreReading.Max => new(options.Reduction, GroupReduction.Max, ValueTerm.Output2),
        ScoreReading.Exact => new(ColumnReduction.L2, GroupReduction.Exact, ValueTerm.Output2),
        ScoreReading.SummedWeights => new(options.Reduction, GroupReduction.MeanAttention, ValueTerm.SummedOutput2),
        ScoreReading.Attention => new(options.Reduction, GroupReduction.MeanAttention, ValueTerm.None),
        ScoreReading.Value => new(options.Reduction, GroupReduction.MeanAttention, ValueTerm.Norm2),
        ScoreReading.Value1 => new(options.Reduction, GroupReduction.MeanAttention, ValueTerm.Norm1),
        ScoreReading.Output1 => new(options.Reduction, GroupReduction.MeanAttention, ValueTerm.Output1),
        _ => new(options.Reduction, GroupReduction.MeanAttention, ValueTerm.JointOutput2),
    };
}
