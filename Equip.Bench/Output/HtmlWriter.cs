using System.Globalization;
using System.Net;

namespace Equip.Bench.Output;

/// <summary>One self-contained page: the settings, the table, and a bar a row for every column that is marked for bars.</summary>
internal sealed class HtmlWriter : ViewWriter
{
    private const int BarWidth = 240;

    private const string Head = """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>TITLE</title>
        <style>
        body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem; color: #1a1a1a; background: #fff; }
        .scroll { overflow-x: auto; }
        table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
        th, td { padding: .3rem .7rem; text-align: left; border-bottom: 1px solid #ddd; white-space: nowrap; }
        .n { text-align: right; }
        figure { margin: 1.5rem 0; display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: flex-start; }
        figcaption { width: 100%; font-weight: 600; }
        svg { max-width: 100%; height: auto; }
        .legend { list-style: none; margin: 0; padding: 0; font-size: 13px; }
        rect { fill: #2a6f97; }
        @media (prefers-color-scheme: dark) { body { color: #eee; background: #181818; } th, td { border-color: #444; } rect { fill: #61a5c2; } }
        </style>
        </head>
        <body>
        <h1>TITLE</h1>
        """;

    /// <summary>Makes what stands above the table; null for nothing.</summary>
    public Func<string>? Figures { get; set; }

    public override void End()
    {
        Output.WriteLine(Head.Replace("TITLE", Text(Name), StringComparison.Ordinal));
        foreach (string line in Lines) Output.WriteLine($"<div>{Text(line)}</div>");
        if (CommonSettings.Count > 0) Output.WriteLine($"<p>{Text(string.Join(", ", CommonSettings))}</p>");
        if (Figures is not null) Output.Write(Figures());
        if (TableColumns.Count > 0)
        {
            Output.WriteLine("<div class=\"scroll\"><table>");
            Output.WriteLine($"<thead><tr>{string.Concat(TableColumns.Select(column => $"<th{Class(column)}>{Text(Columns[column].Heading)}</th>{(Columns[column].Bars ? "<th></th>" : "")}"))}</tr></thead>");
            Output.WriteLine("<tbody>");
            foreach (ResultRow row in Rows) Output.WriteLine($"<tr>{string.Concat(TableColumns.Select(column => Cell(row, column)))}</tr>");
            Output.WriteLine("</tbody>\n</table></div>");
        }

        Output.WriteLine("</body>\n</html>");
    }

    private static string Text(string text) => WebUtility.HtmlEncode(text);

    private static double Number(ResultRow row, int column) => row.Values[column] is { } value ? double.Parse(Plain(value), CultureInfo.InvariantCulture) : 0;

    private string Class(int column) => Columns[column].Type is ColumnType.Integer or ColumnType.Real ? " class=\"n\"" : "";

    private string Cell(ResultRow row, int column)
    {
        string cell = $"<td{Class(column)}>{(row.Values[column] is null ? "&ndash;" : Text(row.Displays[column]))}</td>";
        return Columns[column].Bars ? cell + $"<td>{Bar(row, column)}</td>" : cell;
    }

    private string Bar(ResultRow row, int column)
    {
        double largest = Rows.Max(other => Number(other, column));
        double width = largest > 0 ? Math.Max(0, Number(row, column)) / largest * BarWidth : 0;
        string length = width.ToString("0.#", CultureInfo.InvariantCulture);
        return $"<svg width=\"{BarWidth}\" height=\"14\" role=\"img\" aria-label=\"{Text(row.Displays[column])}\"><rect width=\"{length}\" height=\"14\"/></svg>";
    }
}
