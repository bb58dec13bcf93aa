using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;
using Equip.Model.Pruning;

namespace Equip.Model.Transformer;

/// <summary>One sequence: its cache, its policy and the number of tokens it has seen.</summary>
public sealed class Sequence : IDisposable
{
    private readonly Func<IEvictionPolicy> _createPolicy;
    private readonly Func<TokenFilter?> _createFilter;
    private readonly Func<SequenceChannels?> _createChannels;
    private readonly bool _closesGaps;

    internal Sequence(
        CpuExecutor owner, CacheOptions options, SequenceCache cache, CacheStrategy strategy,
        Func<IEvictionPolicy> createPolicy, Func<TokenFilter?> createFilter, Func<SequenceChannels?> createChannels)
    {
        Owner = owner;
        Options = options;
        Cache = cache;
        Strategy = strategy;
        _createPolicy = createPolicy;
        Policy = createPolicy();
        _createFilter = createFilter;
        Filter = createFilter();
        // Cache positions are ranks: a token that is left out has none, and the next one takes its number.
        _closesGaps = Filter is { Appends: false } && options.Positions != PositionScheme.Original;
        _createChannels = createChannels;
        Channels = createChannels();
    }

    /// <summary>Tokens seen so far: the next token's position in the text.</summary>
    public int Tokens { get; internal set; }

    /// <summary>The options it was made with, defaults filled in.</summary>
    public CacheOptions Options { get; }

    /// <summary>Live rows per KV head, averaged over layers and heads.</summary>
    public double LiveTokens => Cache.MeanCount;

    /// <summary>Bytes of K and V that the cache holds, whole pages counted.</summary>
    public long KvBytes => Cache.Bytes;

    /// <summary>
    /// Whether a prompt can be shared with other sequences: its tokens see all that is before them, and its rows are stored as they are
    /// attended. Not so for a sliding window, and for baselines that store unrotated keys.
    /// </summary>
    public bool SharesPrompts => Policy.Mask.Window == 0 && !Strategy.StoresUnrotatedKeys;

    /// <summary>Whether a prompt can come in parts and be pruned after the last one. Not so for baselines that store unrotated keys.</summary>
    public bool TakesParts => !Strategy.StoresUnrotatedKeys;

    internal CpuExecutor Owner { get; }

    internal SequenceCache Cache { get; }

    internal CacheStrategy Strategy { get; }

    internal IEvictionPolicy Policy { get; private set; }

    /// <summary>Decides which tokens attend; null if all do.</summary>
    internal TokenFilter? Filter { get; private set; }

    /// <summary>Chooses channels of the feed-forward blocks; null if all are computed.</summary>
    internal SequenceChannels? Channels { get; private set; }

    /// <summary>Its memory has been returned.</summary>
    internal bool Disposed { get; private set; }

    /// <summary>Set while a step runs: a step that failed half-way leaves some layers ahead of others.</summary>
    internal bool Inconsistent { get; set; }

    /// <summary>The prompt of which further parts are to come; null if there is none.</summary>
    internal UnfinishedPrompt? Unfinished { get; set; }

    /// <summary>Forgets all tokens and returns the pages.</summary>
    /// <exception cref="ObjectDisposedException">The sequence was disposed.</exception>
    public void Reset()
    {
        ObjectDisposedException.ThrowIf(Disposed, this);
        Cache.Clear();
        Policy = _createPolicy();
        Filter = _createFilter();
        Channels?.Dispose();
        Channels = _createChannels();
        Tokens = 0;
        Unfinished = null;
        Inconsistent = false;
    }

    /// <summary>
    /// The position under which a layer's cache, strategy and policy know the next token: its place in the text, or, where positions are
    /// ranks, in what of the text the layer has taken.
    /// </summary>
    internal int PositionIn(int layer) => _closesGaps ? Tokens - Filter!.LeftOut(layer) : Tokens;

    /// <summary>Returns the memory. Safe to call twice; the sequence cannot be used any more.</summary>
    public void Dispose()
    {
        Disposed = true;
        Cache.Dispose();
        Channels?.Dispose();
        Strategy.Release();
    }
}
