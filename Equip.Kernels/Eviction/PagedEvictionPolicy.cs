namespace Equip.Kernels.Eviction;

/// <summary>
/// PagedEviction's prefill rule (arXiv 2509.04377): rows with the lowest |v|_2 / |k|_2 go; the first 16 and the newest 16 rows (a page each)
/// stay. Norms are averaged over the KV heads, so that a layer's heads keep the same rows, as in the first author's code. Its sign
/// conventions differ between variants; this is the paper's.
/// </summary>
public sealed class PagedEvictionPolicy : ScoredPolicy
{
    private const int Page = 16;

    /// <summary>Makes the policy of one sequence.</summary>
    /// <exception cref="ArgumentException">A parameter is out of its range, or the budget leaves nothing to choose.</exception>
    public PagedEvictionPolicy(PolicyOptions options)
        : base(options, Description, new ScoringDefaults { First = Page, Window = Page })
    {
    }

    /// <summary>The policy's row in the table.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "pagedeviction",
        Paper = "PagedEviction (prefill), arXiv 2509.04377",
        Lossy = true,
        QueryAware = false,
        ActsAtPrefill = true,
        ActsAtDecode = false,
        Positions = "original",
        Defaults = "first 16, newest 16",
        Guesses = "the score of a layer is the ratio of the heads' mean norms",
    };

    internal override float[] Score(PromptLayer prompt, int first, int candidates)
    {
        int kvHeads = prompt.Shape.KvHeads, headDim = prompt.Shape.HeadDim;
        float[] keys = new float[candidates], values = new float[candidates], scores = new float[kvHeads * candidates];
        for (int head = 0; head < kvHeads; head++)
        {
            ScoreSums.Add(keys, ValueTerms.Norms(prompt.WidenKeys(head, first, candidates), headDim, candidates, 2));
            ScoreSums.Add(values, ValueTerms.Norms(prompt.WidenValues(head, first, candidates), headDim, candidates, 2));
        }

        for (int i = 0; i < scores.Length; i++) scores[i] = values[i % candidates] / keys[i % candidates];
        return scores;
    }
}
