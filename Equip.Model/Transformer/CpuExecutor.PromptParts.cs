using Equip.Kernels.KvCache;

namespace Equip.Model.Transformer;

/// <content>
/// The last queries of a prompt and what its rows received, which policies score by, and prompts that come in parts: until the last one the rows lie in the cache
/// unpruned, and what the policy will need of those is kept beside it.
/// </content>
public sealed unsafe partial class CpuExecutor
{
    private float[] _promptQueries = [];
    private float[] _rawQueries = [];
    private float[] _columnSums = [];
    private int _promptQueryTokens;
    private int _rawQueryTokens;

    private static void CheckSharing(ReadOnlySpan<Sequence> sequences)
    {
        if (sequences.IsEmpty) throw new ArgumentException("sequences: got none, expected at least one", nameof(sequences));
        if (sequences.Length == 1) return;
        CheckTogether(sequences, "prompt");
        foreach (Sequence sequence in sequences)
        {
            if (sequence.Tokens > 0) throw new ArgumentException($"sequences: one has seen {sequence.Tokens} tokens, expected empty ones", nameof(sequences));
            if (!sequence.SharesPrompts) throw new ArgumentException($"sequences: {sequence.Options.Policy} ({sequence.Strategy.Name}) does not see a prompt as a full cache does, so it cannot share one", nameof(sequences));
        }
    }

    /// <summary>Makes room for the queries that any of the policies wants, rotated and not.</summary>
    private void ReserveQueries(ReadOnlySpan<Sequence> sequences, int tokens)
    {
        (_promptQueryTokens, _rawQueryTokens) = (0, 0);
        foreach (Sequence sequence in sequences)
        {
            ref int wanted = ref sequence.Policy.WantsUnrotatedQueries ? ref _rawQueryTokens : ref _promptQueryTokens;
            wanted = Math.Max(wanted, Math.Min(sequence.Policy.PromptQueryTokens, tokens));
        }

        int width = _config.Heads * _config.HeadDim;
        Grow(ref _promptQueries, checked(_promptQueryTokens * width));
        Grow(ref _rawQueries, checked(_rawQueryTokens * width));
    }

    /// <summary>Keeps those of a chunk's queries that are among the wanted ones.</summary>
    private void KeepQueries(int tokens, int first, int count)
    {
        Keep(_activations.RotatedQuery(count), _promptQueries, _promptQueryTokens);
        Keep(_activations.Query(count), _rawQueries, _rawQueryTokens);

        void Keep(ReadOnlySpan<float> queries, float[] kept, int wanted)
        {
            int width = _config.Heads * _config.HeadDim, skip = Math.Clamp(tokens - wanted - first, 0, count);
            queries[(skip * width)..].CopyTo(kept.AsSpan(Math.Max(0, first + skip - (tokens - wanted)) * width));
        }
    }

    /// <summary>The last <paramref name="queryTokens"/> tokens' queries, as a sequence's policy wants them.</summary>
    private ReadOnlySpan<float> KeptQueries(Sequence sequence, int queryTokens)
    {
        int width = _config.Heads * _config.HeadDim;
        (float[] kept, int count) = sequence.Policy.WantsUnrotatedQueries ? (_rawQueries, _rawQueryTokens) : (_promptQueries, _promptQueryTokens);
        return kept.AsSpan((count - queryTokens) * width, queryTokens * width);
    }

    /// <summary>Column sums of a layer, <c>[kvHeads, rows]</c>, with what the prompt's earlier parts gave; empty if no policy wants them.</summary>
    private Span<float> StartColumnSums(int layer, ReadOnlySpan<Sequence> sequences, in Prompt prompt)
    {
        bool wanted = false;
        foreach (Sequence sequence in sequences) wanted |= sequence.Policy.WantsColumnSums;
        if (!wanted) return default;
        Grow(ref _columnSums, checked(_config.KvHeads * prompt.Rows));
        Span<float> sums = _columnSums.AsSpan(0, _config.KvHeads * prompt.Rows);
        sums.Clear();
        ReadOnlySpan<float> before = sequences[0].Unfinished is { } part ? part.ColumnSums(layer) : default;
        int rows = before.Length / _config.KvHeads;
        for (int head = 0; head < _config.KvHeads; head++) before.Slice(head * rows, rows).CopyTo(sums[(head * prompt.Rows)..]);
        return sums;
    }

    /// <summary>Starts a prompt in parts, where the policy prunes after one.</summary>
    private void BeginPart(Sequence sequence)
    {
        if (!sequence.Policy.Info.Lossy || sequence.Policy.Mask.Window > 0) return;
        sequence.Unfinished ??= new UnfinishedPrompt(sequence.Tokens, [.. Enumerable.Range(0, sequence.Cache.Layers).Select(layer => sequence.Cache.Layer(layer)[0].Count)], _config.Heads * _config.HeadDim);
    }

    /// <summary>Adds a part's rows to a layer, unpruned.</summary>
    private void AddPart(int layer, Sequence sequence, in Prompt prompt, UnfinishedPrompt part, int tokens, ReadOnlySpan<float> columnSums)
    {
        part.SetColumnSums(layer, columnSums);
        int wanted = sequence.Policy.PromptQueryTokens;
        part.AddQueries(layer, KeptQueries(sequence, Math.Min(wanted, tokens)), wanted);
        for (int head = 0; head < _config.KvHeads; head++)
        {
            HeadCache cache = sequence.Cache.Layer(layer)[head];
            for (int row = prompt.Past; row < prompt.Rows; row++)
            {
                int index = (head * prompt.Rows) + row;
                cache.WriteStored(cache.NextFreeSlot(), prompt.Row(prompt.StoredKeys, head, row), prompt.Row(prompt.Values, head, row), _promptPositions[index], _promptRotations[index]);
            }
        }
    }
}
