using Equip.Kernels.KvCache;

namespace Equip.Model.Transformer;

/// <summary>A prompt of which parts are in the cache, unpruned, and the last part is still to come.</summary>
/// <param name="start">Position of its first token.</param>
/// <param name="past">By layer: rows of a head that were in the cache before it.</param>
/// <param name="width">Elements of a token's queries.</param>
internal sealed class UnfinishedPrompt(int start, int[] past, int width)
{
    private readonly float[][] _columnSums = [.. past.Select(_ => Array.Empty<float>())];
    private readonly float[][] _queries = [.. past.Select(_ => Array.Empty<float>())];

    /// <summary>By layer: rows of a head that were in the cache before it.</summary>
    public IReadOnlyList<int> Past => past;

    /// <summary>Adds a part's queries to a layer's and returns the last <paramref name="wanted"/> tokens' (fewer while there are fewer).</summary>
    public ReadOnlySpan<float> AddQueries(int layer, ReadOnlySpan<float> queries, int wanted)
    {
        ReadOnlySpan<float> before = _queries[layer];
        int keep = (int)Math.Min(before.Length, Math.Max(0, ((long)wanted * width) - queries.Length));
        return _queries[layer] = [.. before[^keep..], .. queries];
    }

    /// <summary>What a layer's rows have received from the parts so far, <c>[kvHeads, rows]</c>; empty if that is not wanted.</summary>
    public ReadOnlySpan<float> ColumnSums(int layer) => _columnSums[layer];

    /// <summary>Keeps <see cref="ColumnSums"/> for the next part.</summary>
    public void SetColumnSums(int layer, ReadOnlySpan<float> sums) => _columnSums[layer] = sums.ToArray();

    /// <summary>The scores of the rows before the prompt, from those of all rows that are cached, <c>[kvHeads, rows]</c>.</summary>
    public ReadOnlyMemory<float> PastScores(ReadOnlyMemory<float> scores, int kvHeads, int layer)
    {
        int rows = scores.Length / kvHeads;
        return Enumerable.Range(0, kvHeads).SelectMany(head => scores.Slice(head * rows, past[layer]).ToArray()).ToArray();
    }

    /// <summary>Takes the prompt's rows out of a layer's heads.</summary>
    public void Remove(ReadOnlySpan<HeadCache> heads)
    {
        foreach (HeadCache head in heads)
        {
            List<int> before = [];
            for (int page = 0; page < head.PageCount; page++)
                for (int slot = page * head.PageTokens; slot < (page * head.PageTokens) + head.LiveInPage(page); slot++)
                    if (head.Positions[slot] < start) before.Add(slot);
            head.Compact([.. before]);
        }
    }
}
