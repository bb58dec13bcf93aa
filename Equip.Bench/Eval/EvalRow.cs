using System.Text.Json.Nodes;
using Equip.Bench.Decode;
using Equip.Bench.Info;
using Equip.Bench.Output;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;
using static Equip.Bench.Output.ColumnType;
using static Equip.Bench.Output.ColumnView;

namespace Equip.Bench.Eval;

/// <summary>One cache's result on one set: perplexity or retrieval.</summary>
internal sealed record EvalRow(string Task, string Data, ModelFacts Model, ComputeFacts Compute, CacheOptions Cache, double Seconds)
{
    public Perplexity? Perplexity { get; init; }

    /// <summary>Tokens of a window that entered as a prompt and were not scored; null where cases have their own prompts.</summary>
    public int? PromptTokens { get; init; }

    public Retrieval? Retrieval { get; init; }

    /// <summary>The columns of eval results; those of the other task are missing from a row.</summary>
    public static IReadOnlyList<Column<EvalRow>> ColumnsOf(bool retrieval) =>
    [
        new("model", "model", Text, Setting, row => row.Model.Name),
        new("weights", "weights", Text, Setting, row => row.Model.Weights.Name()),
        .. SettingColumns.OfCompute<EvalRow>(row => row.Compute.Isa, row => row.Compute.Threads),
        new("task", "task", Text, Shown, row => row.Task),
        new("data", "data", Text, DataOnly, row => row.Data),
        new("prompt_tokens", "prompt tokens", Integer, Setting, row => row.PromptTokens == 0 ? null : row.PromptTokens),
        .. SettingColumns.OfCache<EvalRow>(row => row.Cache),
        .. retrieval ? _retrieval : _perplexity,
        new("seconds", "seconds", Real, Shown, row => Format.Real(row.Seconds)) { Display = row => Format.Number(row.Seconds) },
        new("cpu_info", "cpu", Text, DataOnly, _ => Machine.Processor),
        new("version", "version", Text, DataOnly, _ => Machine.Version),
    ];

    private static readonly Column<EvalRow>[] _perplexity =
    [
        new("perplexity", "perplexity", Real, Shown, row => Format.Real(row.Perplexity?.Value)) { Bars = true, Display = row => Format.Perplexity(row.Perplexity!.Value) },
        new("nll_per_token", "nats/token", Real, Shown, row => Format.Real(row.Perplexity?.NegativeLogLikelihood / row.Perplexity?.Tokens))
        {
            Display = row => Format.Number(row.Perplexity!.NegativeLogLikelihood / row.Perplexity.Tokens),
        },
        new("tokens", "tokens", Integer, Shown, row => row.Perplexity?.Tokens),
        new("windows", "windows", Integer, Shown, row => row.Perplexity?.Windows),
    ];

    private static readonly Column<EvalRow>[] _retrieval =
    [
        new("accuracy", "accuracy %", Real, Shown, row => Format.Real(row.Accuracy)) { Bars = true, Display = row => Format.Number(100 * row.Accuracy) },
        new("correct", "correct", Integer, Shown, row => row.Retrieval?.All.Correct),
        new("cases", "cases", Integer, Shown, row => row.Retrieval?.All.Total),
        new("by_distance", "correct by distance in tokens", Nested, Shown, row => row.Distances)
        {
            Display = row => string.Join("  ", row.Retrieval!.ByDistance.Select(entry => $"{entry.Range}: {entry.Tally.Correct}/{entry.Tally.Total}")),
        },
    ];

    private double Accuracy => Retrieval is { All: var all } ? (double)all.Correct / all.Total : double.NaN;

    private JsonObject Distances
    {
        get
        {
            JsonObject ranges = [];
            foreach ((string range, Tally tally) in Retrieval!.ByDistance)
                ranges.Add(range, new JsonObject { ["correct"] = tally.Correct, ["total"] = tally.Total });
            return ranges;
        }
    }
}
