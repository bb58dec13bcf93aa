using System.Globalization;
using System.Text.Json.Nodes;
using Equip.Bench.Output;

namespace Equip.Bench.Eval;

/// <summary>The results of one cache at several budgets and on several tasks.</summary>
/// <param name="Record">A record of it, for its settings.</param>
/// <param name="Label">The policy, and the settings that tell it from others of the same policy.</param>
/// <param name="Points">Percent of correct answers, or perplexity, by task and budget (0: nothing is pruned).</param>
internal sealed record EvalSeries(JsonObject Record, string Label, IReadOnlyDictionary<(string Task, int Budget), double> Points)
{
    // A series holds all budgets of all tasks.
    private static readonly string[] _along = ["task", "data", "data_sha256", "samples", "prompt_tokens", "budget", "ratio"];

    /// <summary>The settings that a series has one value of.</summary>
    public static IReadOnlyList<Column<EvalRow>> Settings { get; } = [.. EvalRow.Settings.Where(column => !_along.Contains(column.Name))];

    /// <summary>Groups records, in the order in which a series is met first.</summary>
    public static IReadOnlyList<EvalSeries> Of(IEnumerable<JsonObject> records)
    {
        var groups = records.GroupBy(record => string.Join('\n', Settings.Select(column => Text(record, column)))).ToArray();
        return
        [
            .. from own in groups
               let first = own.First()
               let others = groups.Where(other => Text(other.First(), "policy") == Text(first, "policy")).Select(other => other.First()).ToArray()
               let telling = Settings.Where(column => others.Any(other => Text(other, column) != Text(first, column)) && first[column.Name] is not null)
               select new EvalSeries(first, string.Join(", ", telling.Select(column => $"{column.Heading} {Text(first, column)}").Prepend(Text(first, "policy"))), PointsOf(own)),
        ];
    }

    /// <summary>The budgets of a task, ascending.</summary>
    public static IReadOnlyList<int> BudgetsOf(IReadOnlyList<EvalSeries> series, string task) =>
        [.. series.SelectMany(one => one.Points.Keys).Where(point => point.Task == task && point.Budget > 0).Select(point => point.Budget).Distinct().Order()];

    /// <summary>The tasks that have results, perplexity first.</summary>
    public static IReadOnlyList<string> TasksOf(IReadOnlyList<EvalSeries> series) =>
        [.. EvalTask.Names.Names.Where(task => series.Any(one => one.Points.Keys.Any(point => point.Task == task)))];

    /// <summary>The figure at a budget; that of the unpruned cache is the same at all.</summary>
    public double? At(string task, int budget) =>
        Points.TryGetValue((task, budget), out double value) || Points.TryGetValue((task, 0), out value) ? value : null;

    /// <summary>A figure as people read it.</summary>
    public static string Format(string task, double value) =>
        task == EvalTask.Perplexity ? Output.Format.Perplexity(value) : value.ToString("0.#", CultureInfo.InvariantCulture);

    private static Dictionary<(string Task, int Budget), double> PointsOf(IEnumerable<JsonObject> records)
    {
        Dictionary<(string Task, int Budget), double> points = [];
        foreach (JsonObject record in records)
        {
            double? value = record["perplexity"]?.GetValue<double>() ?? 100 * record["accuracy"]?.GetValue<double>();
            if (value is { } figure) points[(Text(record, "task"), record["budget"]?.GetValue<int>() ?? 0)] = figure;
        }

        return points;
    }

    private static string Text(JsonObject record, Column column) => Text(record, column.Name);

    /// <summary>A field as text; empty if it is missing.</summary>
    public static string Text(JsonObject record, string name) => record[name] is { } value ? ResultWriter.Plain(value) : "";
}
