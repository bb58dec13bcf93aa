using Equip.Kernels.Numerics;

namespace Equip.Kernels.Eviction;

/// <summary>
/// The best rows of many groups (the KV heads of all layers) when the groups' scores come one after another: a running top-k.
/// A row that has left it had k better rows before it, so the result equals one choice over all groups at the end, while
/// never more than k rows and one group are held. Ties go to the earlier group, then to the lower row.
/// </summary>
internal sealed class StreamedTopK
{
    private readonly List<(int[] Rows, float[] Scores)> _groups = [];
    private float[] _all = [];

    /// <summary>Groups added so far.</summary>
    public int Groups => _groups.Count;

    /// <summary>Starts again.</summary>
    public void Clear() => _groups.Clear();

    /// <summary>The rows of a group that are still in, ascending.</summary>
    public ReadOnlySpan<int> Rows(int group) => _groups[group].Rows;

    /// <summary>Their scores.</summary>
    public ReadOnlySpan<float> Scores(int group) => _groups[group].Scores;

    /// <summary>
    /// Adds groups and drops what is no longer among the best.
    /// </summary>
    /// <param name="scores"><c>[groups, rows]</c>.</param>
    /// <param name="rows">Rows of each group.</param>
    /// <param name="kept">How many rows stay in all; the same at every call.</param>
    /// <param name="survivors">Receives, for groups that lost rows, the group and which of its <see cref="Rows"/> before this call stay.</param>
    public void Add(ReadOnlySpan<float> scores, int rows, int kept, List<(int Group, int[] Stay)> survivors)
    {
        int before = _groups.Count;
        for (int first = 0; first < scores.Length; first += rows)
            _groups.Add((Enumerable.Range(0, rows).ToArray(), scores.Slice(first, rows).ToArray()));
        int total = _groups.Sum(group => group.Rows.Length), written = 0;
        if (_all.Length < total) _all = new float[total];
        foreach ((_, float[] own) in _groups)
        {
            own.CopyTo(_all, written);
            written += own.Length;
        }

        int[] best = new int[Math.Min(kept, total)];
        TopK.Select(_all.AsSpan(0, total), best);
        for (int group = 0, next = 0, start = 0; group < _groups.Count; group++)
        {
            (int[] ownRows, float[] ownScores) = _groups[group];
            int end = start + ownRows.Length, from = next;
            while (next < best.Length && best[next] < end) next++;
            if (next - from < ownRows.Length)
            {
                int offset = start;
                int[] stay = Array.ConvertAll(best[from..next], index => index - offset);
                _groups[group] = (Array.ConvertAll(stay, i => ownRows[i]), Array.ConvertAll(stay, i => ownScores[i]));
                if (group < before) survivors.Add((group, stay));
            }

            start = end;
        }
    }
}
