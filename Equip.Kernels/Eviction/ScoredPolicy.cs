using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Eviction;

/// <summary>
/// Prunes a prompt once, after a layer's attention: the first and the newest rows stay, and of those between, the candidates, the ones
/// with the highest scores. KV heads may end with different counts; the mean over all heads is the budget exactly, window and first
/// rows included. A prompt that fits the budget is kept whole; a further prompt competes with the rows that are cached.
/// Ties go to the lower layer, head and row; NaN scores sort lowest. A prompt is pruned when it is complete; one
/// that comes in parts is held whole until the last of them. While decoding, tokens are added (the papers' way), or overwrite a head's own rows (see
/// <see cref="DecodeTail"/>), so that a pruned head never grows; heads that were not pruned first fill up to the budget.
/// </summary>
public abstract class ScoredPolicy : IEvictionPolicy
{
    private readonly PolicyInfo _info;
    private readonly ScoringDefaults _defaults;
    private readonly PolicyOptions _options;
    private readonly int _recent;
    private readonly StreamedTopK _best = new();
    private bool _pruned;

    private protected ScoredPolicy(PolicyOptions options, PolicyInfo info, ScoringDefaults defaults)
    {
        ArgumentNullException.ThrowIfNull(options);
        _defaults = defaults;
        Require.InRange(options.WindowTokens, 0, int.MaxValue - 1, "window");
        Require.InRange(options.SinkTokens, 0, int.MaxValue - 1, "sinks");
        Require.InRange(options.RecentTokens, 0, int.MaxValue - 1, "recent");
        Require.InRange((int)options.PoolMode, 0, (int)PoolMode.Max, "pool");
        Require.InRange((int)options.Allocation, 0, (int)Allocation.ModelRaw, "allocation");
        Require.InRange((int)options.Reading, 0, (int)ScoreReading.Max, "reading");
        Require.InRange((int)options.Reduction, 0, (int)ColumnReduction.Max, "reduction");
        Require.InRange((int)options.Then, 0, (int)DecodeTail.Pages, "then");
        if (options.Then == DecodeTail.Pages && defaults.Then != DecodeTail.Pages) throw new ArgumentException($"then: got pages, which {info.Name} does not evict by", nameof(options));
        bool pools = defaults.PoolKernel > 0;
        _options = options with
        {
            WindowTokens = options.WindowTokens == 0 ? defaults.Window : options.WindowTokens,
            PoolKernel = !pools ? 0 : options.PoolKernel == 0 ? defaults.PoolKernel : options.PoolKernel,
            PoolMode = !pools ? PoolMode.Policy : options.PoolMode == PoolMode.Policy ? defaults.PoolMode : options.PoolMode,
            Allocation = !defaults.AllocationIsOpen || options.Allocation == Allocation.Policy ? defaults.Allocation : options.Allocation,
            Reduction = defaults.Reduction == ColumnReduction.Policy || options.Reduction == ColumnReduction.Policy ? defaults.Reduction : options.Reduction,
            Reading = defaults.Reading == ScoreReading.Policy || options.Reading == ScoreReading.Policy ? defaults.Reading : options.Reading,
            Then = options.Then == DecodeTail.Policy ? defaults.Then : options.Then,
        };
        _info = info with { ActsAtDecode = Then != DecodeTail.Grow };
        if (pools) Require.InRange(_options.PoolKernel, 1, Pooling.LargestKernel, "poolKernel");
        if (pools && _options.PoolKernel % 2 == 0) throw new ArgumentException($"poolKernel: got {_options.PoolKernel}, expected an odd number", nameof(options));
        if (_options.Allocation != Allocation.Head) Require.InRange(Window, 1, int.MaxValue, "window");
        Require.InRange(Budget, First + (long)Window + 1, int.MaxValue - 1, "budget");
        if (Then == DecodeTail.Streaming) Require.InRange(options.SinkTokens, 0, Budget - 1, "sinks");
        _recent = options.RecentTokens > 0 ? options.RecentTokens : Window > 0 ? Window : Math.Max(1, Budget / 2);
        if (Then == DecodeTail.H2O) Require.InRange(_recent, 1, Budget, "recent");
    }

    /// <inheritdoc/>
    public PolicyInfo Info => _info;

    /// <summary>Rows a head holds at most, the mean over heads where they differ; 0 if decoding adds to them.</summary>
    public int CapacityTokens => Then == DecodeTail.Grow ? 0 : Budget;

    /// <inheritdoc/>
    public virtual int PromptQueryTokens => _defaults.ScoresByWindow ? Window : 0;

    /// <inheritdoc/>
    public virtual bool WantsUnrotatedQueries => false;

    /// <inheritdoc/>
    public bool ObservesAttention => Then == DecodeTail.H2O;

    /// <inheritdoc/>
    public bool ObservesHeadsApart => true;

    /// <inheritdoc/>
    public int PageTokens => _defaults.PageTokens;

    /// <inheritdoc/>
    public PolicyOptions Scoring => _options;

    /// <summary>The choice over the whole model.</summary>
    internal StreamedTopK Best => _best;

    private protected int Budget => _options.BudgetTokens;

    private protected DecodeTail Then => _options.Then;

    private protected int First => _defaults.First;

    private protected int Window => _options.WindowTokens;

    /// <summary>Candidates that stay in each head, on average.</summary>
    private protected int Chosen => Budget - First - Window;

    /// <inheritdoc/>
    public void AfterPromptLayer(PromptLayer prompt, SequenceCache cache)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentNullException.ThrowIfNull(cache);

        // Tokens seen, not rows: layers may hold different counts of an earlier prompt, and all must come to the same decision.
        _pruned = prompt.Positions.Span[prompt.Rows - 1] >= Budget;
        if (!_pruned)
        {
            prompt.Append();
            return;
        }

        int candidates = prompt.Rows - First - Window;
        float[] scores = Score(prompt, First, candidates);
        float[] received = Then == DecodeTail.Pages ? Score(prompt, 0, prompt.Rows) : ObservesAttention && _defaults.ScoresByWindow ? WindowRecipes.Score(prompt, ScoreRecipe.AttentionSum, Queries(prompt), 0, prompt.Rows) : [];
        if (_options.Allocation is Allocation.Model or Allocation.ModelRaw)
        {
            ChooseOfModel(prompt, cache, scores, candidates);
            for (int head = 0; head < prompt.Shape.KvHeads; head++) Store(prompt, head, _best.Rows((prompt.Layer * prompt.Shape.KvHeads) + head), received);
            return;
        }

        int count = ChosenOfLayer(prompt.Layer, cache.Layers, candidates);
        int[][] chosen = _options.Allocation == Allocation.Layer
            ? RowSelection.OfLayer(scores, prompt.Shape.KvHeads, count, (int)(_defaults.Floor * count))
            : RowSelection.OfHeads(scores, prompt.Shape.KvHeads, count);
        for (int head = 0; head < chosen.Length; head++) Store(prompt, head, chosen[head], received);
    }

    /// <inheritdoc/>
    public void ChooseSlots(ReadOnlySpan<HeadCache> heads, int position, Span<int> slots)
    {
        if (Then == DecodeTail.Pages && heads[0].Count == Budget) EvictPage(heads);
        for (int i = 0; i < heads.Length; i++)
        {
            HeadCache head = heads[i];
            bool grows = Then is DecodeTail.Grow or DecodeTail.Pages || head.Count == 0 || (!_pruned && head.Count < Budget);
            slots[i] = grows ? head.NextFreeSlot() : Then == DecodeTail.Streaming ? TakeOldest(head) : LeastAttended(head, position);
        }
    }

    /// <inheritdoc/>
    public void Observe(ReadOnlySpan<HeadCache> heads, int position, ColumnWeights received)
    {
        for (int i = 0; i < heads.Length; i++) ScoreSums.Add(heads[i].Scores, received.Of(i, heads[i].Capacity));
    }

    /// <summary>Scores rows [first, first + candidates) of every KV head, <c>[kvHeads, candidates]</c>.</summary>
    internal abstract float[] Score(PromptLayer prompt, int first, int candidates);

    /// <summary>The layer's heads are full: clears a page of each.</summary>
    private protected virtual void EvictPage(ReadOnlySpan<HeadCache> heads) => throw new NotSupportedException($"{_info.Name} does not evict pages");

    /// <summary>Candidates that stay in a layer's heads, on average over them.</summary>
    private protected virtual int ChosenOfLayer(int layer, int layers, int candidates) => Chosen;

    /// <summary>Queries that score: the window's, or fewer if the prompt is shorter (its past has none).</summary>
    private protected int Queries(PromptLayer prompt) => Math.Min(Window, prompt.QueryTokens);

    /// <summary>Pools the scores of every head, over its candidates only.</summary>
    private protected float[] Pool(PromptLayer prompt, float[] scores)
    {
        if (_options.PoolKernel == 1) return scores;
        float[] pooled = new float[scores.Length];
        int candidates = scores.Length / prompt.Shape.KvHeads;
        for (int first = 0; first < scores.Length; first += candidates)
        {
            Span<float> output = pooled.AsSpan(first, candidates);
            if (_options.PoolMode == PoolMode.Max) Pooling.Max(scores.AsSpan(first, candidates), _options.PoolKernel, output, prompt.Context.Isa);
            else Pooling.Average(scores.AsSpan(first, candidates), _options.PoolKernel, output, prompt.Context.Isa);
        }

        return pooled;
    }

    /// <summary>Adds a layer to the choice over the whole model, and drops what it displaces from the layers before.</summary>
    private void ChooseOfModel(PromptLayer prompt, SequenceCache cache, float[] scores, int candidates)
    {
        if (prompt.Layer == 0) _best.Clear();
        if (_options.Allocation == Allocation.Model) RowSelection.DivideBySum(scores);
        List<(int Group, int[] Stay)> displaced = [];
        _best.Add(scores, candidates, (int)Math.Min((long)Chosen * cache.Layers * cache.KvHeads, int.MaxValue), displaced);
        foreach ((int group, int[] stay) in displaced)
        {
            HeadCache head = cache.Layer(group / cache.KvHeads)[group % cache.KvHeads];
            int afterChosen = head.Count - Window;
            head.Compact([.. Enumerable.Range(0, First), .. stay.Select(slot => First + slot), .. Enumerable.Range(afterChosen, Window)]);
        }
    }

    private void Store(PromptLayer prompt, int head, ReadOnlySpan<int> chosen, float[] received)
    {
        int[] kept = new int[First + chosen.Length + Window];
        for (int i = 0; i < First; i++) kept[i] = i;
        for (int i = 0; i < chosen.Length; i++) kept[First + i] = First + chosen[i];
        for (int i = 1; i <= Window; i++) kept[^i] = prompt.Rows - i;
        prompt.Store(head, kept, received.Length == 0 ? [] : Array.ConvertAll(kept, row => received[(head * prompt.Rows) + row]));
    }

    /// <summary>The ring's next slot. A prompt's rows lie in order of age, so the ring goes from the first row after the sinks to the last.</summary>
    private int TakeOldest(HeadCache head)
    {
        int slot = head.PendingVictim < 0 ? AfterSinks(head) : head.PendingVictim;
        head.PendingVictim = slot + 1 == head.Count ? -1 : slot + 1;
        return slot;
    }

    private int AfterSinks(HeadCache head)
    {
        int slot = 0;
        while (slot < head.Count - 1 && head.Positions[slot] < _options.SinkTokens) slot++;
        return slot;
    }

    private int LeastAttended(HeadCache head, int position)
    {
        int victim = Victims.Lowest(head, head.Scores, position + 1 - _recent);
        return victim >= 0 ? victim : Victims.Lowest(head, head.Scores, position);
    }
}
