using Equip.Kernels.Dispatch;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Eviction;

/// <summary>
/// PagedEviction (arXiv 2509.04377). A token's score is |v|_2 / |k|_2. A prompt loses its lowest tokens, before it is laid into pages.
/// While decoding, when the newest page is full and the budget used up, the page with the lowest score goes as a whole, and the next
/// tokens are written into it: nothing is copied and no page changes hands. The first and the newest page stay. Norms are averaged
/// over the KV heads, so that a layer's heads keep the same tokens, as in the first author's code; its sign conventions differ
/// between variants, this is the paper's. [GUESS] A page's score is the mean of its tokens', NaN lowest; among equal pages the younger
/// goes. A budget that is not whole pages, of which the paper does not speak, is used up, and a page goes, before the newest is full.
/// </summary>
public sealed class PagedEvictionPolicy : ScoredPolicy
{
    private const int DefaultPage = 16;

    private float[] _row = [];

    /// <summary>Makes the policy of one sequence.</summary>
    /// <exception cref="ArgumentException">A parameter is out of its range, or the budget leaves nothing to choose.</exception>
    public PagedEvictionPolicy(PolicyOptions options)
        : base(options, Description, Defaults(options))
    {
    }

    /// <summary>The policy's row in the table.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "pagedeviction",
        Paper = "PagedEviction, arXiv 2509.04377",
        Lossy = true,
        QueryAware = false,
        ActsAtPrefill = true,
        ActsAtDecode = true,
        Positions = "original",
        Defaults = "page 16; the first and the newest stay",
        Guesses = "the score of a layer is the ratio of the heads' mean norms; a page's is the mean of its tokens'",
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

    private protected override void EvictPage(ReadOnlySpan<HeadCache> heads)
    {
        // The first tokens never leave their page, and the newest page is the one written last: the heads run in step.
        HeadCache any = heads[0];
        int newest = any.Positions.IndexOf(LatestOf(any.Positions)) / any.PageTokens, victim = -1;
        float lowest = 0;
        for (int page = 1; page < any.PageCount; page++)
        {
            if (page == newest || any.LiveInPage(page) == 0) continue;
            float score = PageScore(heads, page);
            if (float.IsNaN(score)) score = float.NegativeInfinity;
            bool younger = victim >= 0 && score == lowest && any.Positions[page * any.PageTokens] > any.Positions[victim * any.PageTokens];
            if (victim >= 0 && !(score < lowest) && !younger) continue;
            victim = page;
            lowest = score;
        }

        foreach (HeadCache head in heads) head.ClearPage(victim);
    }

    private float PageScore(ReadOnlySpan<HeadCache> heads, int page)
    {
        int first = page * heads[0].PageTokens;
        Span<float> scores = heads[0].Scores.Slice(first, heads[0].LiveInPage(page));
        float sum = 0;
        for (int row = 0; row < scores.Length; row++)
        {
            // 0 as after a write, or known to be 0: the same either way.
            if (scores[row] == 0) scores[row] = TokenScore(heads, first + row);
            sum += scores[row];
        }

        return sum / scores.Length;
    }

    private unsafe float TokenScore(ReadOnlySpan<HeadCache> heads, int slot)
    {
        float keys = 0, values = 0;
        foreach (HeadCache head in heads)
        {
            keys += Norm(head.Key(slot), head);
            values += Norm(head.Value(slot), head);
        }

        return values / keys;
    }

    private unsafe float Norm(void* row, HeadCache head)
    {
        if (_row.Length != head.HeadDim) _row = new float[head.HeadDim];
        Conversion.Widen(Isa.Auto, row, head.Type, _row);
        return RowMath.Norm2(_row);
    }

    private static int LatestOf(ReadOnlySpan<int> positions)
    {
        int latest = positions[0];
        foreach (int position in positions) latest = Math.Max(latest, position);
        return latest;
    }

    private static ScoringDefaults Defaults(PolicyOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Require.InRange(options.PageTokens, 0, int.MaxValue, "page");
        int page = options.PageTokens == 0 ? DefaultPage : options.PageTokens;
        return new ScoringDefaults { First = page, Window = page, PageTokens = page, Then = DecodeTail.Pages };
    }
}
