using System.Text.Json.Nodes;
using Equip.Bench.CommandLine;
using Equip.Model.Pruning;
using Equip.Model.Transformer;
using static Equip.Bench.Output.ColumnType;
using static Equip.Bench.Output.ColumnView;

namespace Equip.Bench.Output;

/// <summary>The columns of Token Filtering, shared by decode and eval; missing where nothing is filtered.</summary>
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
        new("filter_share", "filter share", Text, Setting, row => cache(row).Filter is { } filter ? FilterSettings.Shares.NameOf(filter.HoldsShare) : null),
        new("filter_rule", "filter rule", Text, Setting, row => cache(row).Filter is { } filter ? FilterSettings.Rules.NameOf(filter.Rule) : null),
        new("filter_eta", "filter eta", Real, Setting, row => Format.Real(cache(row).Filter?.Eta)),
        new("filter_warmup", "filter warm-up", Integer, Setting, row => cache(row).Filter?.WarmUpTokens),
    ];

    /// <summary>What came of it.</summary>
    public static IReadOnlyList<Column<TRow>> Results<TRow>(Func<TRow, StepFacts?> facts)
    {
        return
        [
            new("filtered", "filtered", Real, Optional, row => Format.Real(Filtered(row)?.Ratio)) { Show = value => Format.Number(value.GetValue<double>()) },
            new("filtered_by_layer", "filtered by layer", Nested, DataOnly, row => List(Filtered(row)?.RatioByLayer)),
            new("similarity_by_layer", "similarity by layer", Nested, DataOnly, row => List(Filtered(row)?.SimilarityByLayer)),
        ];

        FilterStatistics? Filtered(TRow row) => facts(row) is { Filtered: { Decided: > 0 } filtered } ? filtered : null;

        static JsonNode? List(IReadOnlyList<double>? values) => values is null ? null : Format.List(values);
    }
}
