using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;

namespace Equip.Bench.Eval;

/// <summary>Quality over budget as inline SVG: a figure a task, a line a cache; what prunes nothing is a level line.</summary>
internal static class EvalCurves
{
    private const int Width = 760, Height = 400, Left = 56, Right = 16, Top = 12, Bottom = 44;

    // Dark enough on white and light enough on black; lines beyond the last colour are dashed.
    private static readonly string[] _colours = ["#4477aa", "#ee6677", "#228833", "#bb8800", "#3399bb", "#aa3377", "#888888", "#d9602b", "#6a5acd", "#008b8b"];

    private static readonly string[] _dashes = ["", "7 4", "2 3", "9 3 2 3"];

    /// <summary>The figures of all tasks; empty if no cache was measured at two budgets.</summary>
    public static string Html(IReadOnlyList<JsonObject> records)
    {
        IReadOnlyList<EvalSeries> series = EvalSeries.Of(records);
        StringBuilder html = new();
        foreach (string task in EvalSeries.TasksOf(series))
            if (EvalSeries.BudgetsOf(series, task) is { Count: > 1 } budgets) Draw(html, task, budgets, [.. series.Where(one => one.Points.Keys.Any(point => point.Task == task))]);
        return html.ToString();
    }

    private static void Draw(StringBuilder html, string task, IReadOnlyList<int> budgets, IReadOnlyList<EvalSeries> series)
    {
        bool percent = task != EvalTask.Perplexity;
        double[] values = [.. series.SelectMany(one => budgets.Select(budget => one.At(task, budget))).OfType<double>()];
        double step = percent ? 20 : Step(values.Max() - values.Min());
        double low = percent ? 0 : Math.Floor(values.Min() / step) * step, high = percent ? 100 : Math.Max(low + step, Math.Ceiling(values.Max() / step) * step);
        string title = percent ? $"{task}: correct answers (%) over budget" : "perplexity over budget";
        html.AppendLine(CultureInfo.InvariantCulture, $"<figure><figcaption>{title} (tokens kept per KV head)</figcaption>");
        html.AppendLine(CultureInfo.InvariantCulture, $"<svg viewBox=\"0 0 {Width} {Height}\" width=\"{Width}\" role=\"img\" aria-label=\"{title}\" font-size=\"12\" fill=\"currentColor\">");
        for (double tick = low; tick <= high + (step / 2); tick += step)
        {
            html.AppendLine(CultureInfo.InvariantCulture, $"<path d=\"M{Left} {Y(tick):0.#}H{Width - Right}\" stroke=\"currentColor\" stroke-opacity=\".2\"/>");
            html.AppendLine(CultureInfo.InvariantCulture, $"<text x=\"{Left - 8}\" y=\"{Y(tick) + 4:0.#}\" text-anchor=\"end\">{tick:0.####}</text>");
        }

        foreach (int budget in budgets) html.AppendLine(CultureInfo.InvariantCulture, $"<text x=\"{X(budget):0.#}\" y=\"{Height - Bottom + 20}\" text-anchor=\"middle\">{budget}</text>");
        for (int i = 0; i < series.Count; i++)
        {
            (int Budget, double Value)[] points = [.. from budget in budgets where series[i].At(task, budget) is not null select (budget, series[i].At(task, budget)!.Value)];
            string line = string.Join(' ', points.Select(point => Inv($"{X(point.Budget):0.#},{Y(point.Value):0.#}")));
            html.AppendLine(CultureInfo.InvariantCulture, $"<g stroke=\"{Colour(i)}\" fill=\"{Colour(i)}\"><title>{Text(series[i].Label)}</title><polyline points=\"{line}\" fill=\"none\" stroke-width=\"2\" stroke-dasharray=\"{Dash(i)}\"/>");
            foreach ((int budget, double value) in points)
                html.AppendLine(CultureInfo.InvariantCulture, $"<circle cx=\"{X(budget):0.#}\" cy=\"{Y(value):0.#}\" r=\"3\"><title>{Text(series[i].Label)}, budget {budget}: {EvalSeries.Format(task, value)}</title></circle>");
            html.AppendLine("</g>");
        }

        html.AppendLine("</svg>\n<ul class=\"legend\">");

        // In the order in which the lines end, so that the eye finds them.
        foreach (int i in Enumerable.Range(0, series.Count).OrderBy(i => (percent ? -1 : 1) * (series[i].At(task, budgets[^1]) ?? 0)))
            html.AppendLine(CultureInfo.InvariantCulture, $"<li><svg width=\"30\" height=\"10\"><path d=\"M0 5H30\" stroke=\"{Colour(i)}\" stroke-width=\"2\" stroke-dasharray=\"{Dash(i)}\"/></svg> {Text(series[i].Label)}</li>");
        html.AppendLine("</ul></figure>");

        // Budgets are usually doubled.
        double X(int budget) => Left + 20 + ((Width - Left - Right - 40) * Math.Log((double)budget / budgets[0]) / Math.Log((double)budgets[^1] / budgets[0]));

        double Y(double value) => Height - Bottom - ((Height - Top - Bottom) * (value - low) / (high - low));
    }

    /// <summary>1, 2 or 5 times a power of ten, so that a range has about five steps.</summary>
    private static double Step(double range)
    {
        double raw = Math.Max(range, 1e-3) / 5, power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        return power * (raw / power <= 1 ? 1 : raw / power <= 2 ? 2 : raw / power <= 5 ? 5 : 10);
    }

    private static string Colour(int line) => _colours[line % _colours.Length];

    private static string Dash(int line) => _dashes[line / _colours.Length % _dashes.Length];

    private static string Inv(FormattableString text) => FormattableString.Invariant(text);

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}
