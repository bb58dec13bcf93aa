using Equip.Kernels.Eviction;

namespace Equip.Model.Pruning;

/// <summary>Which form of a key is compared with its anchor.</summary>
public enum FilterKeys
{
    /// <summary>As projected, before rotation.</summary>
    BeforeRope,

    /// <summary>Rotated by the token's position in the text.</summary>
    AfterRope,
}

/// <summary>How the similarities of K and V become one.</summary>
public enum FilterFusion
{
    /// <summary>Each weighed by the other's variance over the KV heads: the one that heads agree on counts more.</summary>
    Variance,

    /// <summary>Half each.</summary>
    Half,

    /// <summary>That of K alone.</summary>
    Key,

    /// <summary>That of V alone.</summary>
    Value,
}

/// <summary>Which tokens are filtered.</summary>
public enum FilterRule
{
    /// <summary>Those most similar to the anchors: the method.</summary>
    Similar,

    /// <summary>A control: any token, with the layer's rate as probability, the same in every run.</summary>
    Random,

    /// <summary>A control: the least similar.</summary>
    Reverse,
}

/// <summary>
/// Token Filtering (arXiv 2512.07090): a decoded token whose K and V resemble the running mean of those before it skips the
/// query projection, attention and the output projection of that layer; the residual stream passes, the feed-forward part runs.
/// No code and no formula beyond the cosine to running-mean anchors was available, so most of the detail is a guess, each an option:
/// [GUESS] keys are compared before rotation. [GUESS] Anchors are the plain mean of the first 16 tokens, then gamma times the old plus
/// (1 - gamma) times the new, moved by filtered tokens too, with gamma 0.99. [GUESS] Fusion: w = var V / (var K + var V) over the KV heads
/// weighs the mean similarity of K, 1 - w that of V (half each where there is one head). [GUESS] A layer's threshold starts as the
/// quantile of the dense tokens' similarities and moves by eta times their deviation towards its rate. [GUESS] A decision that would take a layer more than 2 points
/// (of 64 tokens at least) off its rate is turned (<see cref="HoldsShare"/>); if the last 8 to 32 similarities lie all on one side of the threshold then, it starts anew from them. [GUESS] A layer is filtered at
/// most at 0.95. [GUESS] A filtered token's K and V enter the cache. [GUESS] Prompts and the first tokens of a sequence are dense.
/// Measured with <c>equip eval perplexity --filter 0.3</c>: appending beats leaving out; gamma 0.99 beats 0.9 before rotation, after it 0.9 does.
/// </summary>
public sealed record TokenFilterOptions
{
    /// <summary>The least <see cref="WarmUpTokens"/>: fewer similarities say nothing about a quantile.</summary>
    public const int MinWarmUpTokens = 16;

    /// <summary>Share of (token, layer) pairs to filter, 0 to <see cref="FilterSchedule.MaxRate"/>; 0 filters nothing.</summary>
    public double Ratio { get; init; }

    /// <summary>How the ratio is shared out over the layers.</summary>
    public FilterSchedule Schedule { get; init; } = FilterSchedule.Uniform;

    /// <summary>Which form of a key is compared.</summary>
    public FilterKeys Keys { get; init; }

    /// <summary>Whether a filtered token's K and V enter the cache, so that later tokens see it.</summary>
    public bool Appends { get; init; } = true;

    /// <summary>What an anchor keeps of itself when a token arrives, 0 to below 1.</summary>
    public double Gamma { get; init; } = 0.99;

    /// <summary>How fast a threshold moves, in standard deviations of the similarity per token; above 0, at most 1.</summary>
    public double Eta { get; init; } = 0.05;

    /// <summary>Whether every layer is held within 2 points of its share, rather than left to its threshold alone.</summary>
    public bool HoldsShare { get; init; } = true;

    /// <summary>How K and V are weighed.</summary>
    public FilterFusion Fusion { get; init; }

    /// <summary>Which tokens are filtered.</summary>
    public FilterRule Rule { get; init; }

    /// <summary>First tokens of a sequence, its prompt included, that are never filtered; at least <see cref="MinWarmUpTokens"/>.</summary>
    public int WarmUpTokens { get; init; } = 128;

    /// <summary>Its row in `equip info --policies`.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "--filter",
        Paper = "Token Filtering, arXiv 2512.07090",
        Lossy = true,
        QueryAware = false,
        ActsAtPrefill = false,
        ActsAtDecode = true,
        Positions = "any, beside every policy",
        Guesses = "keys before RoPE (--filter-keys); gamma .99 after a plain mean of 16 tokens (--filter-gamma); fusion weights by the other's variance over heads (--filter-fusion); " +
            "threshold by an online quantile of step eta .05 deviations (--filter-eta), a decision that would take a layer 2 points off its rate is turned (--filter-share); filtered tokens enter the cache (--filter-cache); a layer's rate at most .95; " +
            "prompts and the first 128 tokens dense (--filter-warmup); layers in tiers by measured damage (--filter-schedule)",
    };

    /// <summary>Refuses what is out of range.</summary>
    /// <exception cref="ArgumentException">Names the option, what came and what was expected.</exception>
    internal void Check()
    {
        Within(Ratio, 0, FilterSchedule.MaxRate, "filter");
        Within(Gamma, 0, 0.999999, "filter gamma");
        Within(Eta, 1e-6, 1, "filter eta");
        if (WarmUpTokens < MinWarmUpTokens) throw new ArgumentException($"filter warm-up: got {WarmUpTokens}, expected at least {MinWarmUpTokens}", nameof(WarmUpTokens));
        if (!Enum.IsDefined(Keys) || !Enum.IsDefined(Fusion) || !Enum.IsDefined(Rule)) throw new ArgumentException($"filter: got {Keys}, {Fusion}, {Rule}, expected values of their types", nameof(Rule));
        ArgumentNullException.ThrowIfNull(Schedule);
    }

    private static void Within(double value, double least, double most, string name)
    {
        if (!(value >= least && value <= most)) throw new ArgumentException(FormattableString.Invariant($"{name}: got {value}, expected {least} to {most}"), nameof(value));
    }
}
