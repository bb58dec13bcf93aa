using System.Text.Json.Nodes;
using Equip.Bench.Decode;
using Equip.Bench.Info;
using Equip.Bench.Output;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;
using static Equip.Bench.Output.ColumnType;
using static Equip.Bench.Output.ColumnView;

namespace Equip.Bench.Eval;

/// <summary>One cache's result on one set: perplexity or retrieval. Without either it stands for work to be done.</summary>
/// <param name="Task">The set.</param>
/// <param name="Model">The model.</param>
/// <param name="Compute">What computed.</param>
/// <param name="Cache">The cache, resolved; under a ratio its budget is that of the mean prompt.</param>
internal sealed record EvalRow(EvalTask Task, ModelFacts Model, ComputeFacts Compute, CacheOptions Cache)
{
    public Perplexity? Perplexity { get; init; }

    public Retrieval? Retrieval { get; init; }

    /// <summary>What its decode steps did; null if there were none, or if rows were measured side by side.</summary>
    public StepFacts? Steps { get; init; }

    /// <summary>Time it took; caches that were measured side by side have equal shares.</summary>
    public double Seconds { get; init; }

    /// <summary>What a result is a result of: rows that agree in these are the same measurement, wherever it ran.</summary>
    public static IReadOnlyList<Column<EvalRow>> Settings { get; } =
    [
        new("model", "model", Text, Setting, row => row.Model.Name),
        new("weights", "weights", Text, Setting, row => row.Model.Weights.Name()),
        new("task", "task", Text, Shown, row => row.Task.Name),
        new("data", "data", Text, DataOnly, row => row.Task.File),
        new("data_sha256", "data sha256", Text, DataOnly, row => row.Task.Hash),
        new("samples", "windows or cases", Integer, DataOnly, row => row.Task.Samples),
        new("prompt_tokens", "prompt tokens", Integer, Setting, row => row.Task.PromptTokens == 0 ? null : row.Task.PromptTokens),
        .. SettingColumns.OfCache<EvalRow>(row => row.Cache, row => row.Task.PrunedTokens),
    ];

    /// <summary>All columns; those of the other task are missing from a row.</summary>
    public static IReadOnlyList<Column<EvalRow>> Columns { get; } =
    [
        .. Settings,
        .. SettingColumns.OfCompute<EvalRow>(row => row.Compute.Isa, row => row.Compute.Threads),
        new("perplexity", "perplexity", Real, Optional, row => Format.Real(row.Perplexity?.Value)) { Show = value => Format.Perplexity(value.GetValue<double>()) },
        new("nll_per_token", "nats/token", Real, Optional, row => Format.Real(row.Perplexity?.NegativeLogLikelihood / row.Perplexity?.Tokens)) { Show = Number },
        new("tokens", "tokens", Integer, Optional, row => row.Perplexity?.Tokens),
        new("windows", "windows", Integer, Optional, row => row.Perplexity?.Windows),
        new("accuracy", "accuracy %", Real, Optional, row => Format.Real(row.Accuracy)) { Bars = true, Show = value => Format.Number(100 * value.GetValue<double>()) },
        new("correct", "correct", Integer, Optional, row => row.Retrieval?.All.Correct),
        new("cases", "cases", Integer, Optional, row => row.Retrieval?.All.Total),
        new("by_distance", "correct by distance in tokens", Nested, Optional, row => row.Distances)
        {
            Show = value => string.Join("  ", value.AsObject().Select(range => $"{range.Key}: {range.Value!["correct"]}/{range.Value["total"]}")),
        },
        new("right", "right", Text, DataOnly, row => row.Retrieval?.Right),
        new("kv_bytes", "KV", Real, Optional, row => Format.Real(row.Retrieval?.KvBytes)) { Show = value => Format.Bytes(value.GetValue<double>()) },
        new("kv_percent_of_full", "KV % of full", Real, Optional, row => Format.Real(100 * row.Retrieval?.KvBytes / ((double)row.Model.KvValuesPerToken * row.Cache.KvType.Size() * row.Task.PrunedTokens))) { Show = Number },
        .. StepColumns.Of<EvalRow>(row => row.Steps),
        .. FilterColumns.Results<EvalRow>(row => row.Steps),
        .. ChannelColumns.Results<EvalRow>(row => row.Steps),
        new("seconds", "seconds", Real, Shown, row => Format.Real(row.Seconds)) { Show = Number },
        new("cpu_info", "cpu", Text, DataOnly, _ => Machine.Processor),
        new("version", "version", Text, DataOnly, _ => Machine.Version),
    ];

    /// <summary>The columns over rows that were written as JSON objects.</summary>
    public static IReadOnlyList<Column<JsonObject>> RecordColumns { get; } = [.. Columns.Select(column => column.Over<JsonObject>(record => record))];

    private double? Accuracy => Retrieval is { All: var all } ? (double)all.Correct / all.Total : null;

    private JsonObject? Distances
    {
        get
        {
            if (Retrieval is null) return null;
            JsonObject ranges = [];
            foreach ((string range, Tally tally) in Retrieval.ByDistance)
                ranges.Add(range, new JsonObject { ["correct"] = tally.Correct, ["total"] = tally.Total });
            return ranges;
        }
    }

    /// <summary>The row as a JSON object.</summary>
    public JsonObject ToRecord()
    {
        JsonObject record = [];
        foreach (Column<EvalRow> column in Columns) record.Add(column.Name, column.Value(this));
        return record;
    }

    /// <summary>What a record is a result of, as a text that can be compared.</summary>
    public static string KeyOf(JsonObject record) => string.Join('\n', Settings.Select(column => record[column.Name]?.ToJsonString() ?? ""));

    private static string Number(JsonNode value) => Format.Number(value.GetValue<double>());
}
