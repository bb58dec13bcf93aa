using Equip.Bench.Info;
using Equip.Bench.Output;
using static Equip.Bench.Output.ColumnType;
using static Equip.Bench.Output.ColumnView;

namespace Equip.Bench.Suite;

/// <summary>A measured ratio beside the one that bytes predict.</summary>
/// <param name="InPlaceMs">Milliseconds of a step in place; null for a mean of ratios.</param>
/// <param name="OverMs">Milliseconds of the other.</param>
/// <param name="Times">How many times as long the other takes: the median over turns side by side.</param>
/// <param name="Predicted">The ratio of bytes.</param>
internal sealed record SuiteRatio(double? InPlaceMs, double? OverMs, double Times, double Predicted)
{
    /// <summary>What share of the predicted ratio was reached.</summary>
    public double Reached => Times / Predicted;
}

/// <summary>A line of the table: a comparison, or the geometric mean of several.</summary>
internal sealed record SuiteRow
{
    /// <summary>The cell it comes from; empty for a mean.</summary>
    public string Cell { get; init; } = "";

    public required string Block { get; init; }

    /// <summary>The shape, or which comparisons the mean is over.</summary>
    public required string Shape { get; init; }

    public int? Layers { get; init; }

    /// <summary>Whether every query head has its own KV head.</summary>
    public bool MultiHead { get; init; }

    public int? Sequences { get; init; }

    public int? Budget { get; init; }

    /// <summary>Tokens of the full cache.</summary>
    public int? Context { get; init; }

    /// <summary>What in place is compared with.</summary>
    public required string Over { get; init; }

    public bool Published { get; init; }

    /// <summary>Comparisons in a mean.</summary>
    public int? Count { get; init; }

    /// <summary>The whole step.</summary>
    public required SuiteRatio Step { get; init; }

    /// <summary>Attention, eviction and insertion alone, in the same steps.</summary>
    public required SuiteRatio Cache { get; init; }

    /// <summary>Bytes a second of attention and cache in place, as the model counts them.</summary>
    public double? InPlaceRate { get; init; }

    /// <summary>Bytes a second of what the other moves beyond that.</summary>
    public double? ExtraRate { get; init; }

    /// <summary>Bytes a second that memory gave to plain reading, measured beside the cell.</summary>
    public double? MemoryRate { get; init; }

    /// <summary>The share of its step that the form with eviction in place spends choosing and writing.</summary>
    public double? EvictionShare { get; init; }

    public int? Turns { get; init; }

    /// <summary>Why a ratio stays below what bytes predict; of a mean, how many do not; and whether what is asked of it is met.</summary>
    public string? Note { get; init; }

    public required string KvType { get; init; }

    public required string Weights { get; init; }

    public required string Isa { get; init; }

    public required int Threads { get; init; }

    public required string Run { get; init; }

    /// <summary>The columns of the table.</summary>
    public static IReadOnlyList<Column<SuiteRow>> Columns { get; } =
    [
        new("block", "EQUIP over", Text, Shown, row => row.Block),
        new("shape", "shape", Text, Shown, row => row.Shape),
        new("layers", "layers", Integer, Shown, row => row.Layers),
        new("n_sequences", "sequences", Integer, Shown, row => row.Sequences),
        new("budget", "W", Integer, Shown, row => row.Budget),
        new("context", "context", Integer, Optional, row => row.Context),
        new("over", "over", Text, Shown, row => row.Over),
        new("published", "published form", Integer, DataOnly, row => row.Published ? 1 : 0),
        new("n_ratios", "ratios", Integer, DataOnly, row => row.Count),
        .. Ratio("step", "step", row => row.Step),
        .. Ratio("cache", "attention+cache", row => row.Cache),
        new("in_place_bytes_per_s", "in place", Real, DataOnly, row => Format.Real(row.InPlaceRate)) { Display = row => Format.Rate(row.InPlaceRate ?? 0) },
        new("extra_bytes_per_s", "extra passes", Real, DataOnly, row => Format.Real(row.ExtraRate)) { Display = row => Format.Rate(row.ExtraRate ?? 0) },
        new("memory_bytes_per_s", "memory", Real, DataOnly, row => Format.Real(row.MemoryRate)) { Display = row => Format.Rate(row.MemoryRate ?? 0) },
        new("eviction_share", "evict %", Real, Optional, row => Format.Real(row.EvictionShare)) { Display = row => Format.Times(100 * (row.EvictionShare ?? 0)) },
        new("turns", "turns", Integer, DataOnly, row => row.Turns),
        new("note", "note", Text, Optional, row => row.Note),
        new("kv", "kv", Text, Setting, row => row.KvType),
        new("weights", "weights", Text, Setting, row => row.Weights),
        new("isa", "isa", Text, Setting, row => row.Isa),
        new("threads", "threads", Integer, Setting, row => row.Threads),
        new("run", "run", Text, Setting, row => row.Run),
        new("cpu_info", "cpu", Text, DataOnly, _ => Machine.Processor),
        new("version", "version", Text, DataOnly, _ => Machine.Version),
    ];

    private static IReadOnlyList<Column<SuiteRow>> Ratio(string name, string heading, Func<SuiteRow, SuiteRatio> ratio) =>
    [
        new($"{name}_in_place_ms", $"{heading} ms", Real, Optional, row => Format.Real(ratio(row).InPlaceMs)) { Display = row => Format.Number(ratio(row).InPlaceMs ?? 0) },
        new($"{name}_over_ms", "over ms", Real, Optional, row => Format.Real(ratio(row).OverMs)) { Display = row => Format.Number(ratio(row).OverMs ?? 0) },
        new($"{name}_times", $"{heading} x", Real, Shown, row => Format.Real(ratio(row).Times)) { Bars = true, Display = row => Format.Times(ratio(row).Times) },
        new($"{name}_predicted", "bytes say", Real, Shown, row => Format.Real(ratio(row).Predicted)) { Display = row => Format.Times(ratio(row).Predicted) },
        new($"{name}_reached", "reached", Real, Shown, row => Format.Real(ratio(row).Reached)) { Display = row => Format.Times(ratio(row).Reached) },
    ];
}
