using Equip.Kernels.KvCache;

namespace Equip.Kernels.Eviction;

/// <summary>Finds the slot that holds the token a policy likes least.</summary>
internal static class Victims
{
    /// <summary>
    /// The live slot with the lowest score among tokens at positions before <paramref name="before"/>, or -1 if there is none.
    /// NaN counts as lowest. Among equals the youngest goes, as in a top-k whose ties go to the lower position.
    /// </summary>
    public static int Lowest(HeadCache head, ReadOnlySpan<float> scores, int before)
    {
        int victim = -1;
        float lowest = 0;
        ReadOnlySpan<int> positions = head.Positions;
        for (int page = 0; page < head.PageCount; page++)
        {
            int first = page * head.PageTokens, end = first + head.LiveInPage(page);
            for (int slot = first; slot < end; slot++)
            {
                if (positions[slot] >= before) continue;
                float score = float.IsNaN(scores[slot]) ? float.NegativeInfinity : scores[slot];
                if (victim >= 0 && (score > lowest || (score == lowest && positions[slot] < positions[victim]))) continue;
                victim = slot;
                lowest = score;
            }
        }

        return victim;
    }
}
