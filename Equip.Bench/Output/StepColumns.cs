using Equip.Model.Pruning;
using Equip.Model.Transformer;
using static Equip.Bench.Output.ColumnType;
using static Equip.Bench.Output.ColumnView;

namespace Equip.Bench.Output;

/// <summary>What decode steps did, as far as it depends on what they leave out.</summary>
internal sealed record StepFacts(FilterStatistics Filtered, StepTraffic Traffic, FeedForwardTraffic FeedForward)
{
    /// <summary>What an executor has done so far.</summary>
    public static StepFacts Of(CpuExecutor executor) => new(executor.Filtered, executor.Traffic, executor.FeedForwardTraffic);

    /// <summary>What it has done since; null if it has not decoded.</summary>
    public static StepFacts? Since(StepFacts earlier, CpuExecutor executor)
    {
        StepTraffic traffic = executor.Traffic.Since(earlier.Traffic);
        return traffic.Tokens == 0 ? null : new StepFacts(executor.Filtered.Since(earlier.Filtered), traffic, executor.FeedForwardTraffic.Since(earlier.FeedForward));
    }
}

/// <summary>The columns of what decode steps read, shared by decode and eval. The bytes stand in data formats for every row that has decoded.</summary>
internal static class StepColumns
{
    public static IReadOnlyList<Column<TRow>> Of<TRow>(Func<TRow, StepFacts?> facts)
    {
        return
        [
            new("bytes_per_token", "bytes/token", Real, DataOnly, row => Format.Real(facts(row)?.Traffic.BytesPerToken)),
            new("byte_bound", "byte bound", Real, Optional, row => Format.Real(Pruned(row)?.Bound)) { Show = value => Format.Number(value.GetValue<double>()) },
        ];

        StepTraffic? Pruned(TRow row) => facts(row) is { Traffic: var traffic } && traffic.Bytes != traffic.DenseBytes ? traffic : null;
    }
}
