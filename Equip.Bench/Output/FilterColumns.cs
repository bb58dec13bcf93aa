using System.Text.Json.Nodes;
using Equip.Bench.CommandLine;
using Equip.Model.Pruning;
using Equip.Model.Transformer;
using static Equip.Bench.Output.ColumnType;
using static Equip.Bench.Output.ColumnView;

namespace Equip.Bench.Output;

/// <summary>What decode steps did, as far as it depends on what they skip.</summary>
internal sealed record StepFacts(FilterStatistics Filtered, StepTraffic Traffic)
{
    /// <summary>What an executor has done so far.</summary>
    public static StepFacts Of(CpuExecutor executor) => new(executor.Filtered, executor.Traffic);

    /// <summary>What it has done since; null if it has not decoded.</summary>
    public static StepFacts? Since(StepFacts earlier, CpuExecutor executor)
    {
        StepTraffic traffic = executor.Traffic.Since(earlier.Traffic);
        return traffic.Tokens == 0 ? null : new StepFacts(executor.Filtered.Since(earlier.Filtered), traffic);
    }
}

/// <summary>The columns of Token Filtering, and of the bytes that steps read: shared by decode and eval, missing where nothing is filtered.</summary>
internal static class FilterColumns
{
    /// <summary>How a row was filtered.</summary>
    public static IReadOnlyList<Column<TRow>> Settings<TRow>(Func<TRow, CacheOptions> cache) =>
    [
        new("filter", "filter", Real, Optional, row => Format.Real(cache(row).Filter?.Ratio)),
        new("filter_schedule", "filter schedule", Text, Setting, row => cache(row).Filter?.Schedule.Name),
        new("filter_keys", "filter keys", Text, Setting, row => cache(row).Filter is { } filter ? FilterSettings.Keys.NameOf(filter.Keys) : null),
        new("filter_gamma", "filter gamma", Real, Setting, row => Format.Real(cache(row).Filter?.Gamma)),
        new("filter_fusion", "filter fusion", Text, Setting, row => cache(row).Filter is { } filter ? FilterSettings.Fusions.NameOf(filter.Fusion) : null),
        new("filter_cache", "filter cache", Text, Setting, row => cache(row).Filter is { } filter ? FilterSettings.Caches.NameOf(filter.Appends) : null),
        new("filter_rule", "filter rule", Text, Setting, row => cache(row).Filter is { } filter ? FilterSettings.Rules.NameOf(filter.Rule) : null),
        new("filter_eta", "filter eta", Real, Setting, row => Format.Real(cache(row).Filter?.Eta)),
        new("filter_warmup", "filter warm-up", Integer, Setting, row => cache(row).Filter?.WarmUpTokens),
    ];

    /// <summary>What came of it. The bytes stand in data formats for every row that has decoded.</summary>
    public static IReadOnlyList<Column<TRow>> Results<TRow>(Func<TRow, StepFacts?> facts)
    {
        return
        [
            new("filtered", "filtered", Real, Optional, row => Format.Real(Filtered(row)?.Ratio)) { Show = Number },
            new("filtered_by_layer", "filtered by layer", Nested, DataOnly, row => List(Filtered(row)?.RatioByLayer)),
            new("similarity_by_layer", "similarity by layer", Nested, DataOnly, row => List(Filtered(row)?.SimilarityByLayer)),
            new("bytes_per_token", "bytes/token", Real, DataOnly, row => Format.Real(facts(row)?.Traffic.BytesPerToken)),
            new("byte_bound", "byte bound", Real, Optional, row => Format.Real(Pruned(row)?.Traffic.Bound)) { Show = Number },
        ];

        FilterStatistics? Filtered(TRow row) => facts(row) is { Filtered: { Decided: > 0 } filtered } ? filtered : null;

        StepFacts? Pruned(TRow row) => facts(row) is { Traffic: { } traffic } found && traffic.Bytes != traffic.DenseBytes ? found : null;

        static string Number(JsonNode value) => Format.Number(value.GetValue<double>());

        static JsonNode? List(IReadOnlyList<double>? values) => values is null ? null : Format.List(values);
    }
}
