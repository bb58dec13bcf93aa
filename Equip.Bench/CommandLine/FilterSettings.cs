using System.CommandLine;
using System.Globalization;
using Equip.Model.Pruning;
using Equip.Model.Transformer;

namespace Equip.Bench.CommandLine;

/// <summary>The options of Token Filtering, shared by run, decode and eval: what each means stands in <see cref="TokenFilterOptions"/>.</summary>
internal sealed class FilterSettings
{
    private const string Measured = "robust", OneLayer = "only";

    private static readonly TokenFilterOptions _defaults = new();

    private static readonly FilterSchedule[] _named = [FilterSchedule.Uniform, FilterSchedule.Tail, FilterSchedule.TailHalf];

    private readonly ListOption<double> _ratio;
    private readonly ListOption<string> _schedule;
    private readonly ListOption<double> _gamma;
    private readonly ListOption<double> _eta;
    private readonly ListOption<int> _warmUp;
    private readonly ListOption<FilterKeys> _keys;
    private readonly ListOption<bool> _appends;
    private readonly ListOption<FilterFusion> _fusion;
    private readonly ListOption<bool> _holds;
    private readonly ListOption<FilterRule> _rule;

    /// <summary>Makes the options.</summary>
    /// <param name="many">Whether they can be lists.</param>
    public FilterSettings(bool many = true)
    {
        bool one = !many;
        _ratio = ListOptions.Reals(["--filter"], "Token Filtering: share of (decoded token, layer) pairs that skip query, attention and output projection; 0 for none.", "0", 0, FilterSchedule.MaxRate, one);
        _schedule = new ListOption<string>(
            ["--filter-schedule"],
            "How the share is spread over layers: evenly, growing to the last, the last half, one layer, or in measured tiers (a file of 'equip eval sensitivity'; robust: the one in the model's folder).",
            $"{string.Join('|', _named.Select(schedule => schedule.Name))}|{OneLayer}N|{Measured}|FILE",
            FilterSchedule.Uniform.Name,
            item => [item],
            one);
        _gamma = ListOptions.Reals(["--filter-gamma"], "What an anchor keeps of itself when a token arrives.", Text(_defaults.Gamma), 0, 0.999999, one);
        _eta = ListOptions.Reals(["--filter-eta"], "Step of the thresholds, in standard deviations of the similarity.", Text(_defaults.Eta), 1e-6, 1, one);
        _warmUp = ListOptions.Numbers(["--filter-warmup"], "First tokens of a sequence, prompt included, that are never filtered.", Text(_defaults.WarmUpTokens), TokenFilterOptions.MinWarmUpTokens, one: one);
        _keys = ListOptions.Names(["--filter-keys"], "Keys are compared before (pre) or after (post) rotation.", Keys, one);
        _appends = ListOptions.Names(["--filter-cache"], "Whether a filtered token's K and V enter the cache.", Caches, one);
        _fusion = ListOptions.Names(["--filter-fusion"], "How the similarities of K and V are weighed: by variance over heads, half each, or one alone.", Fusions, one);
        _holds = ListOptions.Names(["--filter-share"], "Whether every layer is held within 2 points of its share (held), or follows its threshold alone (free).", Shares, one);
        _rule = ListOptions.Names(["--filter-rule"], "Which tokens are filtered; random and reverse (the least similar) are controls.", Rules, one);
    }

    /// <summary>The forms of a key.</summary>
    public static Choices<FilterKeys> Keys { get; } = new([("pre", FilterKeys.BeforeRope), ("post", FilterKeys.AfterRope)]);

    /// <summary>What becomes of a filtered token.</summary>
    public static Choices<bool> Caches { get; } = new([("append", true), ("leave-out", false)]);

    /// <summary>The fusions.</summary>
    public static Choices<FilterFusion> Fusions { get; } = new(
    [
        ("variance", FilterFusion.Variance), ("half", FilterFusion.Half), ("k", FilterFusion.Key), ("v", FilterFusion.Value),
    ]);

    /// <summary>What becomes of the share.</summary>
    public static Choices<bool> Shares { get; } = new([("held", true), ("free", false)]);

    /// <summary>The rules.</summary>
    public static Choices<FilterRule> Rules { get; } = new([("similar", FilterRule.Similar), ("random", FilterRule.Random), ("reverse", FilterRule.Reverse)]);

    /// <summary>Every option.</summary>
    public IEnumerable<Option> All => [_ratio, _schedule, _gamma, _eta, _warmUp, _keys, _appends, _fusion, _holds, _rule];

    /// <summary>Every cache with every filter asked for; a ratio of 0 comes once, without a filter.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="caches">The caches.</param>
    /// <param name="modelDirectory">Where robust finds its file; null for a shape, which has none.</param>
    public IReadOnlyList<CacheOptions> Expand(ParseResult parsed, IReadOnlyList<CacheOptions> caches, string? modelDirectory)
    {
        FilterSchedule[] schedules = _ratio.Values(parsed).All(ratio => ratio == 0) ? [FilterSchedule.Uniform] : [.. _schedule.Values(parsed).Select(name => Schedule(name, modelDirectory))];
        TokenFilterOptions?[] filters =
        [
            .. (from ratio in _ratio.Values(parsed)
                from schedule in schedules
                from rule in _rule.Values(parsed)
                from keys in _keys.Values(parsed)
                from gamma in _gamma.Values(parsed)
                from fusion in _fusion.Values(parsed)
                from appends in _appends.Values(parsed)
                from holds in _holds.Values(parsed)
                from eta in _eta.Values(parsed)
                from warmUp in _warmUp.Values(parsed)
                // Random choices follow no threshold that could leave the share.
                select ratio == 0 ? null : new TokenFilterOptions
                {
                    Ratio = ratio, Schedule = schedule, Rule = rule, Keys = keys, Gamma = gamma, Fusion = fusion, Appends = appends, Eta = eta, WarmUpTokens = warmUp, HoldsShare = holds || rule == FilterRule.Random,
                }).Distinct(),
        ];
        return [.. caches.SelectMany(cache => filters.Select(filter => cache with { Filter = filter }))];
    }

    /// <summary>The cache with the filter given, where lists are not taken.</summary>
    public CacheOptions Single(ParseResult parsed, CacheOptions cache, string? modelDirectory) => Expand(parsed, [cache], modelDirectory).Single();

    /// <summary>The filter of one layer at a rate: what the sensitivity of layers is measured with. The other settings are those given.</summary>
    public TokenFilterOptions OneLayerOf(ParseResult parsed, int layer, int layers, double absentRate)
    {
        double rate = parsed.GetResult(_ratio) is null ? absentRate : _ratio.Values(parsed).Single();
        return new TokenFilterOptions
        {
            Ratio = rate / layers,
            Schedule = FilterSchedule.Only(layer),
            Rule = _rule.Values(parsed)[0],
            Keys = _keys.Values(parsed)[0],
            Gamma = _gamma.Values(parsed)[0],
            Fusion = _fusion.Values(parsed)[0],
            Appends = _appends.Values(parsed)[0],
            Eta = _eta.Values(parsed)[0],
            WarmUpTokens = _warmUp.Values(parsed)[0],
            HoldsShare = _holds.Values(parsed)[0],
        };
    }

    private static FilterSchedule Schedule(string name, string? modelDirectory)
    {
        if (_named.FirstOrDefault(schedule => schedule.Name == name) is { } known) return known;
        if (name.StartsWith(OneLayer, StringComparison.Ordinal) && int.TryParse(name.AsSpan(OneLayer.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int layer)) return FilterSchedule.Only(layer);
        string file = name == Measured ? Path.Combine(modelDirectory ?? "", FilterSchedule.FileName) : name;
        if (name == Measured && (modelDirectory is null || !File.Exists(file)))
            throw new UsageException($"--filter-schedule: {Measured} needs {FilterSchedule.FileName} in the model's folder; measure it with 'equip eval sensitivity --schedule-out FILE'");
        if (!File.Exists(file)) throw new UsageException($"--filter-schedule: got '{name}', expected {string.Join(", ", _named.Select(schedule => schedule.Name))}, {OneLayer}N, {Measured} or a file");
        return FilterSchedule.Load(file, name);
    }

    private static string Text(double number) => number.ToString(CultureInfo.InvariantCulture);
}
