using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;

namespace Equip.Kernels.Eviction;

/// <summary>
/// A layer of a prompt after its attention, as a policy sees it: K and V rows in order of age (those already cached first), and
/// the last queries. Valid only during <see cref="IEvictionPolicy.AfterPromptLayer"/>.
/// </summary>
public sealed unsafe class PromptLayer
{
    /// <summary>Path and threads for kernels that score.</summary>
    public required KernelContext Context { get; init; }

    /// <summary>Which layer.</summary>
    public required int Layer { get; init; }

    /// <summary>Heads, head dimension, cache type.</summary>
    public required AttentionShape Shape { get; init; }

    /// <summary>K rows <c>[kvHeads, rows, headDim]</c> in the cache's type, rotated by <see cref="Rotations"/>.</summary>
    public required void* Keys { get; init; }

    /// <summary>The K rows to store, where they differ from those attended (strategies that store unrotated keys).</summary>
    public required void* StoredKeys { get; init; }

    /// <summary>V rows <c>[kvHeads, rows, headDim]</c>.</summary>
    public required void* Values { get; init; }

    /// <summary>Rows of each head.</summary>
    public required int Rows { get; init; }

    /// <summary>Rows that were in the cache before this prompt.</summary>
    public required int Past { get; init; }

    /// <summary>The rows' positions in the text, <c>[kvHeads, rows]</c> (heads may have kept different tokens of earlier prompts).</summary>
    public required ReadOnlyMemory<int> Positions { get; init; }

    /// <summary>The indices by which the rows' keys are rotated, <c>[kvHeads, rows]</c>.</summary>
    public required ReadOnlyMemory<int> Rotations { get; init; }

    /// <summary>The scores of the rows that were cached before, <c>[kvHeads, past]</c>.</summary>
    public required ReadOnlyMemory<float> PastScores { get; init; }

    /// <summary>
    /// Queries <c>[queryTokens, heads, headDim]</c> of the last <see cref="QueryTokens"/> tokens: rotated, unless the policy wants
    /// them before rotation (<see cref="IEvictionPolicy.WantsUnrotatedQueries"/>).
    /// </summary>
    public required float* Queries { get; init; }

    /// <summary>How many tokens' queries were kept: at most what the policy asked for, and no more than the prompt has.</summary>
    public required int QueryTokens { get; init; }

    /// <summary>
    /// Probability that every row received from all of the prompt's queries, summed over queries and the group's heads,
    /// <c>[kvHeads, rows]</c>; empty unless the policy wants them (<see cref="IEvictionPolicy.WantsColumnSums"/>).
    /// </summary>
    public required ReadOnlyMemory<float> ColumnSums { get; init; }

    /// <summary>The model's output projections, for scores by what a value becomes; null if there are none.</summary>
    public OutputProjection? Output { get; init; }

    /// <summary>The model's rotation; null for a model without one.</summary>
    public RopeTable? Rope { get; init; }

    /// <summary>The heads of this layer; empty until rows are stored, except for rows of earlier prompts.</summary>
    public required ReadOnlyMemory<HeadCache> Heads { get; init; }

    /// <summary>Replaces what a head holds by some of the rows, laid down in order of age in slots 0, 1, ...</summary>
    /// <param name="head">KV head.</param>
    /// <param name="kept">Row numbers, strictly ascending.</param>
    /// <param name="scores">A score for each kept row, or empty for zeros.</param>
    /// <exception cref="ArgumentException">A row number is out of range or not ascending.</exception>
    public void Store(int head, ReadOnlySpan<int> kept, ReadOnlySpan<float> scores = default)
    {
        Require.InRange(head, 0, Shape.KvHeads - 1);
        if (!scores.IsEmpty) Require.AtLeast(scores.Length, kept.Length);
        for (int i = 0; i < kept.Length; i++) Require.InRange(kept[i], i == 0 ? 0 : kept[i - 1] + 1, Rows - 1, nameof(kept));
        HeadCache cache = Heads.Span[head];
        cache.Clear();
        for (int i = 0; i < kept.Length; i++)
        {
            StoreRow(cache, i, head, kept[i]);
            if (!scores.IsEmpty) cache.Scores[i] = scores[i];
        }
    }

    /// <summary>Adds the prompt's rows behind what the heads hold, for a cache that keeps everything.</summary>
    public void Append()
    {
        for (int head = 0; head < Shape.KvHeads; head++)
            for (int row = Past; row < Rows; row++) StoreRow(Heads.Span[head], Heads.Span[head].NextFreeSlot(), head, row);
    }

    /// <summary>Probabilities of the last <paramref name="window"/> queries over all rows, <c>[heads, window, rows]</c>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">More queries than were kept.</exception>
    public float[] WindowProbabilities(int window)
    {
        Require.InRange(window, 1, QueryTokens);
        float[] probabilities = new float[checked(Shape.Heads * window * Rows)];
        int width = Shape.Heads * Shape.HeadDim;
        ReadOnlySpan<float> queries = new(Queries + ((long)(QueryTokens - window) * width), window * width);
        WindowScores.Compute(Context, Shape, queries, PrefillKeys(window), probabilities, window);
        return probabilities;
    }

    /// <summary>The output projections of a model that must have them.</summary>
    internal OutputProjection Projection => Output ?? throw new InvalidOperationException("output: got none, expected the model's output projections");

    /// <summary>K rows of a head in float32, <c>[count, headDim]</c>.</summary>
    internal float[] WidenKeys(int head, int first, int count) => Widen(Key(head, first), count);

    /// <summary>V rows of a head in float32, <c>[count, headDim]</c>.</summary>
    internal float[] WidenValues(int head, int first, int count) => Widen(Value(head, first), count);

    private float[] Widen(byte* rows, int count)
    {
        float[] wide = new float[checked(count * Shape.HeadDim)];
        Conversion.Widen(Context.Isa, rows, Shape.CacheType, wide);
        return wide;
    }

    /// <summary>The K row of a token.</summary>
    internal byte* Key(int head, int row) => (byte*)Keys + ((((long)head * Rows) + row) * Shape.RowBytes);

    /// <summary>The V row of a token.</summary>
    internal byte* Value(int head, int row) => (byte*)Values + ((((long)head * Rows) + row) * Shape.RowBytes);

    private PrefillKeys PrefillKeys(int tokens) => new() { Keys = Keys, Values = Values, HeadStride = Rows, Past = Rows - tokens };

    private void StoreRow(HeadCache cache, int slot, int head, int row)
        => cache.WriteStored(slot, (byte*)StoredKeys + ((((long)head * Rows) + row) * Shape.RowBytes), Value(head, row), Positions.Span[(head * Rows) + row], Rotations.Span[(head * Rows) + row]);
}
