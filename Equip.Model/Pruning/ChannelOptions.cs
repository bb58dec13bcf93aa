using Equip.Kernels.Eviction;

namespace Equip.Model.Pruning;

/// <summary>How the channels of a feed-forward block are chosen while decoding.</summary>
public enum ChannelMethod
{
    /// <summary>POP (arXiv 2602.06822): partitioned after the prompt, the middle part chosen again for every token.</summary>
    Pop,

    /// <summary>The prompt's best channels, for the whole text: POP without candidates; a control.</summary>
    Static,

    /// <summary>Channels drawn after the prompt, by its tokens, so that many texts average over draws; a control.</summary>
    Random,

    /// <summary>Gate and up of all channels, the best kept for every token: what choosing can reach, saving down only; a control.</summary>
    Oracle,

    /// <summary>Gate of all channels; up and down of those where it is largest.</summary>
    GateFirst,

    /// <summary>Gate and up of all channels by int8 copies; down, in the model's own type, of those where their product is largest.</summary>
    Int8First,
}

/// <summary>By what <see cref="ChannelMethod.GateFirst"/> multiplies a channel's activated gate to compare it with others.</summary>
public enum ChannelFactor
{
    /// <summary>The column norm of down times the root mean square of the channel's up over the prompt.</summary>
    Prompt,

    /// <summary>The column norm of down times the row norm of up.</summary>
    Weights,
}

/// <summary>Which channels of the feed-forward blocks a sequence computes while decoding. Prompts are computed whole.</summary>
public sealed record ChannelOptions
{
    /// <summary>The method.</summary>
    public ChannelMethod Method { get; init; }

    /// <summary>Share of the channels that are dropped, in [0, 1); 0 prunes nothing.</summary>
    public double Ratio { get; init; }

    /// <summary>POP: share of the channels that are candidates, at most twice the ratio and twice what is left.</summary>
    public double Gamma { get; init; } = 0.1;

    /// <summary>
    /// POP and its controls: whether a sequence copies the channels that it computes, to read them as fast as a whole matrix. Takes their bytes of
    /// every sequence and, at the end of every prompt, the time to copy them. The executor keeps the memory for the next sequence.
    /// </summary>
    public bool Copies { get; init; } = true;

    /// <summary>Whether that is so with this method: the others compute other channels for every token.</summary>
    public bool MakesCopies => Copies && Method is (ChannelMethod.Pop or ChannelMethod.Static or ChannelMethod.Random);

    /// <summary>Gate-first: how channels are compared.</summary>
    public ChannelFactor Factor { get; init; }

    /// <summary>Gate-first: take what reaches the running mean of the thresholds of earlier tokens, instead of the same number for every token.</summary>
    public bool Threshold { get; init; }

    /// <summary>The rows of `equip info --policies`.</summary>
    public static IReadOnlyList<PolicyInfo> Methods { get; } =
    [
        PartitionedChannels.Description, GateFirstChannels.Description, Int8FirstChannels.Description,
    ];

    /// <summary>The options without those that the method does not use; null if nothing is pruned.</summary>
    /// <exception cref="ArgumentException">A value is out of its range.</exception>
    internal ChannelOptions? Resolve()
    {
        if (!(Ratio >= 0 && Ratio < 1)) throw new ArgumentOutOfRangeException(nameof(Ratio), Ratio, $"channels: got ratio {Ratio}, expected 0 to less than 1");
        if (Ratio == 0) return null;
        double widest = 2 * Math.Min(Ratio, 1 - Ratio);
        // A few ulps over: 2 * (1 - 0.8) is less than 0.4.
        if (Method == ChannelMethod.Pop && !(Gamma >= 0 && Gamma <= widest + 1e-9)) throw new ArgumentOutOfRangeException(nameof(Gamma), Gamma, $"gamma: got {Gamma}, expected 0 to {widest:0.###}: half of the candidates are chosen, so they reach half of gamma beyond the ratio on both sides");
        return this with
        {
            Gamma = Method == ChannelMethod.Pop ? Gamma : 0,
            Copies = MakesCopies,
            Factor = Method == ChannelMethod.GateFirst ? Factor : default,
            Threshold = Method == ChannelMethod.GateFirst && Threshold,
        };
    }
}
