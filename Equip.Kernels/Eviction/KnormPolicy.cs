namespace Equip.Kernels.Eviction;

/// <summary>
/// Key norms (arXiv 2406.11430): the keys with the smallest L2 norm stay. The norm does not change with rotation. No row is protected
/// unless a window is asked for.
/// </summary>
public sealed class KnormPolicy : ScoredPolicy
{
    /// <summary>Makes the policy of one sequence.</summary>
    /// <exception cref="ArgumentException">A parameter is out of its range, or the budget leaves nothing to choose.</exception>
    public KnormPolicy(PolicyOptions options)
        : base(options, Description, new ScoringDefaults { AllocationIsOpen = true })
    {
    }

    /// <summary>The policy's row in the table.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "knorm",
        Paper = "A simple and effective L2 norm-based strategy, arXiv 2406.11430",
        Lossy = true,
        QueryAware = false,
        ActsAtPrefill = true,
        ActsAtDecode = false,
        Positions = "original",
        Defaults = "no window",
    };

    internal override float[] Score(PromptLayer prompt, int first, int candidates)
    {
        float[] scores = new float[prompt.Shape.KvHeads * candidates];
        for (int head = 0; head < prompt.Shape.KvHeads; head++)
        {
            float[] norms = ValueTerms.Norms(prompt.WidenKeys(head, first, candidates), prompt.Shape.HeadDim, candidates, 2);
            for (int i = 0; i < candidates; i++) scores[(head * candidates) + i] = -norms[i];
        }

        return scores;
    }
}
