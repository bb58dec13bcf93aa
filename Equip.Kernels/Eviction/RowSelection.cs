using Equip.Kernels.Numerics;

namespace Equip.Kernels.Eviction;

/// <summary>Chooses candidates of one layer by score. Ties go to the lower head and row, NaN is lowest.</summary>
internal static class RowSelection
{
    /// <summary>The best <paramref name="count"/> of every head, ascending.</summary>
    /// <param name="scores"><c>[heads, candidates]</c>.</param>
    /// <param name="heads">KV heads.</param>
    /// <param name="count">At most the candidates.</param>
    public static int[][] OfHeads(ReadOnlySpan<float> scores, int heads, int count)
    {
        int[][] chosen = new int[heads][];
        int candidates = scores.Length / heads;
        for (int head = 0; head < heads; head++) TopK.Select(scores.Slice(head * candidates, candidates), chosen[head] = new int[count]);
        return chosen;
    }

    /// <summary>The best heads * count of all heads together, but at least the best <paramref name="floor"/> of each.</summary>
    public static int[][] OfLayer(ReadOnlySpan<float> scores, int heads, int count, int floor)
    {
        int candidates = scores.Length / heads;
        float[] raised = scores.ToArray();
        if (floor > 0) Raise(raised, heads, OfHeads(scores, heads, floor));
        int[] best = new int[heads * count];
        TopK.Select(raised, best);
        return [.. Enumerable.Range(0, heads).Select(head => best.Where(index => index / candidates == head).Select(index => index % candidates).ToArray())];
    }

    /// <summary>Raises rows above all others.</summary>
    public static void Raise(Span<float> scores, int heads, int[][] rows)
    {
        int candidates = scores.Length / heads;
        for (int head = 0; head < heads; head++)
            foreach (int row in rows[head]) scores[(head * candidates) + row] = float.PositiveInfinity;
    }

    /// <summary>Divides by the sum of the finite scores; scores that add up to nothing stay as they are.</summary>
    public static void DivideBySum(Span<float> scores)
    {
        double sum = 0;
        foreach (float score in scores)
            if (float.IsFinite(score)) sum += score;
        if (sum <= 0) return;
        foreach (ref float score in scores) score = (float)(score / sum);
    }
}
