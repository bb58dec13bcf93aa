using System.Globalization;
using System.Text.Json.Nodes;
using Equip.Bench.Output;

namespace Equip.Bench.Eval;

/// <summary>
/// The figures of results. Quality over budget: one a task, a line a cache; what prunes nothing is a level line. Perplexity over the bytes
/// that feed-forward blocks read: a line for every way to choose channels.
/// </summary>
internal static class EvalCurves
{
    /// <summary>The figures; empty if no cache was measured at two budgets, and no way to choose channels.</summary>
    public static string Html(IReadOnlyList<JsonObject> records)
    {
        IReadOnlyList<EvalSeries> series = EvalSeries.Of(records);
        IEnumerable<CurveFigure?> figures = EvalSeries.TasksOf(series).Select(task => OverBudget(task, series)).Append(OverBytes(records));
        return string.Concat(figures.Select(figure => figure?.Html()));
    }

    private static CurveFigure? OverBudget(string task, IReadOnlyList<EvalSeries> all)
    {
        if (EvalSeries.BudgetsOf(all, task) is not { Count: > 1 } budgets) return null;
        bool percent = task != EvalTask.Perplexity;
        Curve[] curves =
        [
            .. from one in all
               where one.Points.Keys.Any(point => point.Task == task)
               let points = from budget in budgets
                            let value = one.At(task, budget)
                            where value is not null
                            select ((double)budget, value.Value, $"budget {budget}: {EvalSeries.Format(task, value.Value)}")
               select new Curve(one.Label, [.. points]),
        ];
        double[] values = [.. curves.SelectMany(curve => curve.Points).Select(point => point.Value)];

        // Budgets are usually doubled.
        return new CurveFigure(percent ? $"{task}: correct answers (%) over budget" : "perplexity over budget", "tokens kept per KV head", curves)
        {
            Marks = [.. budgets.Select(budget => (double)budget)],
            LogX = true,
            Levels = percent ? CurveFigure.LevelsOf(0, 100) : CurveFigure.LevelsOf(values.Min(), values.Max()),
            HighIsGood = percent,
        };
    }

    private static CurveFigure? OverBytes(IReadOnlyList<JsonObject> records)
    {
        JsonObject[] pruned = [.. records.Where(record => record["perplexity"] is not null && record["ffn_byte_share"] is not null)];
        if (pruned.Length < 2) return null;
        Column[] settings = [.. EvalRow.Settings.Where(column => column.Name != "channel_ratio")];
        var groups = pruned.GroupBy(record => string.Join('\n', settings.Select(column => EvalSeries.Text(record, column.Name)))).ToArray();
        Column[] telling = [.. settings.Where(column => groups.Select(group => EvalSeries.Text(group.First(), column.Name)).Distinct().Count() > 1)];
        List<Curve> curves = [.. groups.Select(group => new Curve(Label(group.First()), [.. group.Select(Point).OrderBy(point => point.X)]))];
        // Shares can be over 100: 8-bit weights are less than their 16-bit transposed copies.
        double least = Math.Min(90, Math.Floor(curves.Min(curve => curve.Points[0].X) / 10) * 10), most = Math.Max(100, Math.Ceiling(curves.Max(curve => curve.Points[^1].X) / 10) * 10);
        if (records.FirstOrDefault(record => record["perplexity"] is not null && record["channels"] is null && record["filter"] is null) is { } whole)
        {
            double value = ValueOf(whole);
            string note = EvalSeries.Format(EvalTask.Perplexity, value);
            curves.Add(new Curve("no channel left out", [(least, value, note), (most, value, note)]));
        }

        double[] values = [.. curves.SelectMany(curve => curve.Points).Select(point => point.Value)];
        return new CurveFigure("perplexity over bytes of the feed-forward blocks read per token", "percent of what the whole blocks take", curves)
        {
            Marks = [.. Enumerable.Range(0, 1 + (int)Math.Round((most - least) / 10)).Select(i => least + (10 * i))],
            Unit = " %",
            Levels = CurveFigure.LogLevelsOf(values.Min(), values.Max()),
            LogY = true,
        };

        string Label(JsonObject record)
        {
            IEnumerable<string> parts = telling.Where(column => column.Name != "channels" && record[column.Name] is not null).Select(column => $"{column.Heading} {EvalSeries.Text(record, column.Name)}");
            return string.Join(", ", parts.Prepend(EvalSeries.Text(record, "channels")));
        }

        static (double X, double Value, string Note) Point(JsonObject record)
        {
            double bytes = 100 * record["ffn_byte_share"]!.GetValue<double>();
            string dropped = EvalSeries.Text(record, "channel_ratio");
            return (bytes, ValueOf(record), string.Create(CultureInfo.InvariantCulture, $"{dropped} of the channels left out, {bytes:0.#} % of the bytes: {EvalSeries.Format(EvalTask.Perplexity, ValueOf(record))}"));
        }

        static double ValueOf(JsonObject record) => record["perplexity"]!.GetValue<double>();
    }
}
