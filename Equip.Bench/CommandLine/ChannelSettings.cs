using System.CommandLine;
using System.Globalization;
using Equip.Model.Pruning;
using Equip.Model.Transformer;

namespace Equip.Bench.CommandLine;

/// <summary>The options of channel pruning, shared by run, decode and eval: what each means stands in <see cref="ChannelOptions"/>.</summary>
internal sealed class ChannelSettings
{
    private static readonly ChannelOptions _defaults = new();

    private readonly ListOption<double> _pop;
    private readonly ListOption<double> _gamma;
    private readonly ListOption<bool>? _copy;
    private readonly ListOption<ChannelMethod> _method;
    private readonly ListOption<double> _share;
    private readonly ListOption<ChannelFactor> _factor;
    private readonly ListOption<bool> _cut;

    /// <summary>Makes the options.</summary>
    /// <param name="many">Whether they can be lists.</param>
    /// <param name="copies">Whether channels may be copied: of no use where many sequences answer with a few tokens each.</param>
    public ChannelSettings(bool many = true, bool copies = true)
    {
        bool one = !many;
        _pop = ListOptions.Reals(["--pop"], "POP: share of the feed-forward channels that decode steps leave out; 0 for none.", "0", 0, 0.99, one);
        _gamma = ListOptions.Reals(["--pop-gamma"], "POP: share of the channels that are candidates, chosen anew for every token; at most twice the ratio and twice what is left.", _defaults.Gamma.ToString(CultureInfo.InvariantCulture), 0, 1, one);
        if (copies) _copy = ListOptions.Names(["--pop-copy"], "POP and its controls: whether a sequence copies the channels that it computes, to read them faster; takes their bytes.", Copies, one);
        _method = ListOptions.Names(["--channels"], "Other ways to choose channels (see 'equip info --policies'), beside --pop; static, random and oracle are controls.", Methods, one);
        _share = ListOptions.Reals(["--channel-share"], "Share of the channels that --channels keeps.", "0.45", 0.01, 1, one);
        _factor = ListOptions.Names(["--channel-factor"], "gate-first: what a channel's gate is weighed by besides down: the size of its up over the prompt, or the norm of its weights.", Factors, one);
        _cut = ListOptions.Names(["--channel-cut"], "gate-first: the same number of channels for every token, or those over a running threshold.", Cuts, one);
    }

    /// <summary>The methods that --channels takes.</summary>
    public static Choices<ChannelMethod> Methods { get; } = new(
    [
        ("none", ChannelMethod.Pop), ("gate-first", ChannelMethod.GateFirst), ("int8-first", ChannelMethod.Int8First),
        ("static", ChannelMethod.Static), ("random", ChannelMethod.Random), ("oracle", ChannelMethod.Oracle),
    ]);

    /// <summary>Whether channels are copied.</summary>
    public static Choices<bool> Copies { get; } = new([("on", true), ("off", false)]);

    /// <summary>The factors.</summary>
    public static Choices<ChannelFactor> Factors { get; } = new([("prompt", ChannelFactor.Prompt), ("weights", ChannelFactor.Weights)]);

    /// <summary>Where gate-first stops.</summary>
    public static Choices<bool> Cuts { get; } = new([("top", false), ("threshold", true)]);

    /// <summary>Every option.</summary>
    public IEnumerable<Option> All => [_pop, _gamma, .. _copy is null ? [] : new Option[] { _copy }, _method, _share, _factor, _cut];

    /// <summary>Every cache with every choice of channels asked for; all channels come once.</summary>
    public IReadOnlyList<CacheOptions> Expand(ParseResult parsed, IReadOnlyList<CacheOptions> caches)
    {
        IReadOnlyList<bool> allCopies = _copy?.Values(parsed) ?? [false];
        IEnumerable<ChannelOptions?> pop = from ratio in _pop.Values(parsed)
                                           from gamma in _gamma.Values(parsed)
                                           from copies in allCopies
                                           select ratio == 0 ? null : new ChannelOptions { Method = ChannelMethod.Pop, Ratio = ratio, Gamma = gamma, Copies = copies };
        IEnumerable<ChannelOptions?> others = from method in _method.Values(parsed)
                                              from share in _share.Values(parsed)
                                              from factor in _factor.Values(parsed)
                                              from threshold in _cut.Values(parsed)
                                              from copies in allCopies
                                              select method == ChannelMethod.Pop || share == 1 ? null : new ChannelOptions { Method = method, Ratio = 1 - share, Factor = factor, Threshold = threshold, Copies = copies };
        bool asksPop = parsed.GetResult(_pop) is not null, asksOthers = parsed.GetResult(_method) is not null;
        ChannelOptions?[] all = [.. (asksPop || !asksOthers ? pop : []).Concat(asksOthers ? others : []).Select(options => options is null ? null : options with { Copies = options.MakesCopies }).Distinct()];
        return [.. caches.SelectMany(cache => all.Select(channels => cache with { Channels = channels }))];
    }

    /// <summary>The cache with the choice given, where lists are not taken.</summary>
    /// <exception cref="UsageException">Two choices were given.</exception>
    public CacheOptions Single(ParseResult parsed, CacheOptions cache)
        => Expand(parsed, [cache]) is [var only] ? only : throw new UsageException("--pop and --channels: expected one of them");
}
