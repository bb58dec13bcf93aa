using System.CommandLine;
using System.Globalization;
using Equip.Bench.Suite;
using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;

namespace Equip.Bench.CommandLine;

/// <summary>
/// The options that say how the KV cache is kept, shared by run, decode and eval. To add a value of an option, add a line to
/// its table here; to add an option, make it in the constructor, name it in <see cref="All"/> and set it in <see cref="Expand"/>.
/// </summary>
internal sealed class CacheSettings
{
    /// <summary>The policy that keeps everything; the other options do not apply to it.</summary>
    public const string Full = "full";

    /// <summary>The name that stands for every policy.</summary>
    public const string Every = "all";

    private const string NoRatio = "none";

    private static readonly CacheOptions _defaults = new();

    private readonly ListOption<string> _policy;
    private readonly ListOption<int> _budget;
    private readonly ListOption<double> _ratio;
    private readonly ListOption<int> _sinks;
    private readonly ListOption<int> _recent;
    private readonly ListOption<int> _page;
    private readonly ListOption<CacheUpdate> _update;
    private readonly ListOption<PositionScheme?> _positions;
    private readonly ListOption<DataType> _kv;
    private readonly ListOption<int> _window;
    private readonly ListOption<int> _poolKernel;
    private readonly ListOption<PoolMode> _pool;
    private readonly ListOption<ColumnReduction> _reduction;
    private readonly ListOption<Allocation> _allocation;
    private readonly ListOption<ScoreReading> _reading;
    private readonly ListOption<DecodeTail> _then;

    /// <summary>Makes the options.</summary>
    /// <param name="many">Whether they can be lists.</param>
    /// <param name="policies">The command's default of --policy.</param>
    /// <param name="budgets">The command's default of --budget.</param>
    public CacheSettings(bool many = true, string policies = Full, string budgets = "512")
    {
        bool one = !many;
        _policy = new ListOption<string>(
            ["--policy"], $"Which tokens the cache keeps (see 'equip info --policies'){(one ? "" : $"; {Every} for every policy")}.", string.Join('|', EvictionPolicies.Names), policies, ParsePolicies, one);
        _budget = ListOptions.Numbers(["--budget"], "Tokens kept per KV head, the mean where heads differ; full keeps all and ignores it.", budgets, 1, one: one);
        _ratio = new ListOption<double>(
            ["--ratio"], "Instead of --budget: the fraction of a prompt's tokens that is KEPT, above 0 and at most 1 (1 minus kvpress's compression_ratio).", one ? "R" : "R,...", NoRatio, item => item == NoRatio ? [] : [ParseRatio(item)], one);
        _sinks = ListOptions.Numbers(["--sinks", "--sink"], "First tokens of a sequence that are never evicted.", Text(_defaults.Sinks), 0, one: one);
        _recent = ListOptions.Numbers(
            ["--recent"], "Newest tokens that are never evicted, by policies that distinguish them; 0 for the policy's default.", Text(_defaults.Recent), 0, one: one);
        _page = ListOptions.Numbers(["--page"], "Tokens of a cache page; 0 for one page of the whole budget, 16 for pagedeviction, or 32 where heads keep different counts.", Text(_defaults.PageTokens), 0, one: one);
        _update = ListOptions.Names(["--update"], "How a token is evicted and the next one inserted: into its slot (inplace), or a baseline: new tensors every step as the published code does (functional, also with K and V repeated for every query head), one move then rotation (memmove), both in one pass (shift), a ring whose keys are all rotated (ring).", Updates, one);
        _positions = ListOptions.Names(
            ["--positions"], "Position of a kept key: its rank in the cache (cache, or one way to bring that about), the one it was born with (original), or as the policy's paper has it (policy).", Positions, one);
        _kv = ListOptions.Names(["--kv"], "How keys and values are stored.", KvTypes, one);
        _window = ListOptions.Numbers(
            ["--window"], "Newest tokens of a prompt that stay and, for policies that score by attention, whose queries score the others; part of the budget; 0 for the policy's default.", Text(_defaults.Window), 0, one: one);
        _poolKernel = ListOptions.Numbers(
            ["--pool-kernel"], "Odd number of neighbouring scores that are pooled, by policies that pool; 0 for the policy's default.", Text(_defaults.PoolKernel), 0, Pooling.LargestKernel, one);
        _pool = ListOptions.Names(["--pool"], "How they are pooled.", PoolModes, one);
        _reduction = ListOptions.Names(["--reduction"], "How laprox makes one number of the attention that a row gets from the window's queries.", Reductions, one);
        _allocation = ListOptions.Names(
            ["--allocation"], "Which scores compete for the budget, where the policy leaves it open: those of a head, of a layer, of the model (each layer's divided by their sum, or raw).", Allocations, one);
        _reading = ListOptions.Names(["--reading"], "How laprox reads the score of a group of heads: by which norm of the values and in which order; attention and value are ablations.", Readings, one);
        _then = ListOptions.Names(["--then"], "After a pruned prompt: as the policy's paper has it, add new tokens, overwrite a head's oldest or its least attended, or (pagedeviction) fill the page that scores lowest.", Tails, one);
    }

    /// <summary>The ways to carry out an eviction.</summary>
    public static Choices<CacheUpdate> Updates { get; } = new(
        [
            ("inplace", CacheUpdate.InPlace),
            ("functional", CacheUpdate.Functional),
            ("functional-repeatkv", CacheUpdate.FunctionalRepeatKv),
            ("memmove", CacheUpdate.Memmove),
            ("shift", CacheUpdate.FusedShift),
            ("ring", CacheUpdate.RingRotate),
        ]);

    /// <summary>The position conventions.</summary>
    public static Choices<PositionScheme?> Positions { get; } = new(
        [
            ("policy", null),
            ("original", PositionScheme.Original),
            ("cache", PositionScheme.Cache),
            ("cache:two-query", PositionScheme.CacheTwoQuery),
            ("cache:rerotate-sinks", PositionScheme.CacheRerotateSinks),
            ("cache:rotate-on-read", PositionScheme.CacheRotateOnRead),
            ("cache:older-side", PositionScheme.CacheOlderSide),
            ("cache:lazy", PositionScheme.CacheLazy),
        ]);

    /// <summary>The types that keys and values can have.</summary>
    public static Choices<DataType> KvTypes { get; } = new([("f16", DataType.F16), ("bf16", DataType.BF16), ("f32", DataType.F32)]);

    /// <summary>The ways to pool.</summary>
    public static Choices<PoolMode> PoolModes { get; } = new([("policy", PoolMode.Policy), ("avg", PoolMode.Average), ("max", PoolMode.Max)]);

    /// <summary>The reductions of a row's attention.</summary>
    public static Choices<ColumnReduction> Reductions { get; } = new(
    [
        ("policy", ColumnReduction.Policy), ("sum", ColumnReduction.Sum), ("mean", ColumnReduction.Mean), ("l2", ColumnReduction.L2), ("max", ColumnReduction.Max),
    ]);

    /// <summary>The ways to share the budget out.</summary>
    public static Choices<Allocation> Allocations { get; } = new(
    [
        ("policy", Allocation.Policy), ("head", Allocation.Head), ("layer", Allocation.Layer), ("model", Allocation.Model), ("model-raw", Allocation.ModelRaw),
    ]);

    /// <summary>The readings of a group's score.</summary>
    public static Choices<ScoreReading> Readings { get; } = new(
    [
        ("policy", ScoreReading.Policy), ("joint", ScoreReading.Joint), ("mean", ScoreReading.Mean), ("prod", ScoreReading.Product), ("exact", ScoreReading.Exact),
        ("sumw", ScoreReading.SummedWeights), ("attention", ScoreReading.Attention), ("value", ScoreReading.Value),
        ("value1", ScoreReading.Value1), ("output1", ScoreReading.Output1), ("max", ScoreReading.Max),
    ]);

    /// <summary>What follows a pruned prompt.</summary>
    public static Choices<DecodeTail> Tails { get; } = new(
    [
        ("policy", DecodeTail.Policy), ("grow", DecodeTail.Grow), ("streaming", DecodeTail.Streaming), ("h2o", DecodeTail.H2O), ("pages", DecodeTail.Pages),
    ]);

    /// <summary>Every option.</summary>
    public IEnumerable<Option> All =>
    [
        _policy, _budget, _ratio, _sinks, _recent, _page, _update, _positions, _kv, _window, _poolKernel, _pool, _reduction, _allocation, _reading, _then,
    ];

    /// <summary>The options that <see cref="Narrow"/> reads.</summary>
    public IEnumerable<Option> SuiteOptions => [_policy, _budget, _kv];

    /// <summary>Every combination of the values given, policies outermost; full comes once a KV type and page size.</summary>
    public IReadOnlyList<CacheOptions> Expand(ParseResult parsed) =>
    [
        .. (from policy in _policy.Values(parsed)
            from size in Sizes(parsed)
            from update in _update.Values(parsed)
            from positions in _positions.Values(parsed)
            from sinks in _sinks.Values(parsed)
            from recent in _recent.Values(parsed)
            from page in _page.Values(parsed)
            from kv in _kv.Values(parsed)
            from window in _window.Values(parsed)
            from poolKernel in _poolKernel.Values(parsed)
            from pool in _pool.Values(parsed)
            from reduction in _reduction.Values(parsed)
            from allocation in _allocation.Values(parsed)
            from reading in _reading.Values(parsed)
            from then in _then.Values(parsed)
            select new CacheOptions
            {
                Policy = policy, Budget = size.Budget, Ratio = size.Ratio, Sinks = sinks, Recent = recent, PageTokens = page, Update = update, Positions = positions, KvType = kv,
                Window = window, PoolKernel = poolKernel, PoolMode = pool, Reduction = reduction, Allocation = allocation, Reading = reading, Then = then,
            }).Select(Normalise).Distinct(),
    ];

    /// <summary>A suite's plan with the budgets, KV type and policies of the command line, where it names some.</summary>
    public SuitePlan Narrow(ParseResult parsed, SuitePlan plan)
    {
        IReadOnlyList<DataType> kv = _kv.ValuesOr(parsed, [plan.KvType]);
        IReadOnlyList<string> blocks = _policy.ValuesOr(parsed, []);
        if (blocks.Count > 0 && plan.Blocks.Contains(SuitePlan.Cost)) throw new UsageException("--policy: does not apply to --suite cost");
        if (kv.Count > 1) throw new UsageException($"--kv: got {kv.Count} values, expected one with --suite");
        return plan with
        {
            Budgets = _budget.ValuesOr(parsed, plan.Budgets),
            KvType = kv[0],
            Blocks = blocks.Count == 0 ? plan.Blocks : [.. blocks.SelectMany(SuitePlan.BlocksOf)],
        };
    }

    /// <summary>The options with the policy's own choices filled in, at the budget that they name (a page of 0 stays what it stands for); checks them before any long work.</summary>
    /// <exception cref="ArgumentException">An option is out of its range, or the combination is not supported.</exception>
    public static CacheOptions Resolve(CpuExecutor executor, CacheOptions options)
    {
        using Sequence probe = executor.CreateSequence(options with { Ratio = 0 });
        PositionScheme? positions = probe.Options.Positions;
        // A baseline brings cache positions about in its own way.
        if (options.Update != CacheUpdate.InPlace && positions != PositionScheme.Original) positions = PositionScheme.Cache;
        return probe.Options with { PageTokens = options.PageTokens, Positions = positions, Ratio = options.Ratio };
    }

    /// <summary>Whether the command line asks for every policy by <see cref="Every"/>.</summary>
    public bool AsksForEvery(ParseResult parsed) => parsed.GetResult(_policy)?.Tokens.Any(token => token.Value.Split(',').Contains(Every, StringComparer.OrdinalIgnoreCase)) == true;

    /// <summary>Whether the command line names policies.</summary>
    public bool NamesPolicies(ParseResult parsed) => parsed.GetResult(_policy) is { Tokens.Count: > 0 };

    /// <summary>Whether budgets are given as fractions of a prompt.</summary>
    public bool HasRatio(ParseResult parsed) => _ratio.Values(parsed).Count > 0;

    /// <summary>The combination given, where lists are not taken.</summary>
    public CacheOptions Single(ParseResult parsed) => Expand(parsed).Single();

    private static CacheOptions Normalise(CacheOptions options) =>
        options.Policy == Full ? _defaults with { Policy = Full, PageTokens = options.PageTokens, KvType = options.KvType } : options;

    private static IEnumerable<string> ParsePolicies(string name)
    {
        if (name.Equals(Every, StringComparison.OrdinalIgnoreCase)) return EvictionPolicies.Names;
        string? policy = EvictionPolicies.Names.FirstOrDefault(known => known.Equals(name, StringComparison.OrdinalIgnoreCase));
        return policy is not null ? [policy] : throw new FormatException($"got '{name}', expected {string.Join(", ", EvictionPolicies.Names)}");
    }

    private static double ParseRatio(string text) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double ratio) && ratio is > 0 and <= 1
            ? ratio
            : throw new FormatException($"got '{text}', expected a fraction above 0 and at most 1");

    /// <summary>The budgets asked for, or the ratios.</summary>
    private IEnumerable<(int Budget, double Ratio)> Sizes(ParseResult parsed)
    {
        if (!HasRatio(parsed)) return _budget.Values(parsed).Select(budget => (budget, 0.0));
        if (parsed.GetResult(_budget) is not null) throw new UsageException("--budget and --ratio: expected one of them");
        return _ratio.Values(parsed).Select(ratio => (_defaults.Budget, ratio));
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
