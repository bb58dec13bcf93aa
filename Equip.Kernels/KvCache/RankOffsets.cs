namespace Equip.Kernels.KvCache;

/// <summary>
/// Keeps <see cref="HeadCache.Offsets"/> for cache positions with arbitrary holes. With the query in an ever-growing frame at
/// position t, the key of a token born at position p must appear at rotation p + offset, where offset counts the younger tokens
/// that were evicted after it: then it is exactly as many ranks behind the query as there are younger live tokens.
/// Offsets fall (weakly) with youth, so tokens of equal offset are neighbours in age.
/// </summary>
internal static class RankOffsets
{
    /// <summary>The token of <paramref name="slot"/> is about to be overwritten: everything older moves up by one.</summary>
    public static void Evict(HeadCache head, int slot)
    {
        int evicted = head.Positions[slot];
        ReadOnlySpan<int> positions = head.Positions;
        Span<int> offsets = head.Offsets;
        for (int i = 0; i < offsets.Length; i++) offsets[i] += positions[i] < evicted ? 1 : 0;
    }

    /// <summary>Sets the offsets of rows in order of age from the gaps in their positions.</summary>
    public static void FromGaps(HeadCache head)
    {
        ReadOnlySpan<int> positions = head.Positions;
        Span<int> offsets = head.Offsets;
        for (int i = 0, last = head.Count - 1; i <= last; i++) offsets[i] = positions[last] - positions[i] - (last - i);
    }

    /// <summary>Whether a slot holds a live token.</summary>
    public static bool IsLive(HeadCache head, int slot)
        => slot < head.Capacity && slot % head.PageTokens < head.LiveInPage(slot / head.PageTokens);
}
