using System.Text;

namespace Equip.Bench.Output;

/// <summary>A GitHub table, aligned so that it also reads well in a terminal. Settings common to all rows stand above it.</summary>
internal sealed class MarkdownWriter : ViewWriter
{
    public override void End()
    {
        if (Rows.Count == 0) return;
        foreach (string line in Lines) Output.WriteLine($"- {Escape(line)}");
        foreach (string[] line in CommonSettings.Chunk(6)) Output.WriteLine(Escape(string.Join(", ", line)) + "  ");
        if (TableColumns.Count == 0) return;
        if (CommonSettings.Count > 0) Output.WriteLine();
        string[][] cells = [.. Rows.Select(row => TableColumns.Select(column => Cell(row, column)).ToArray())];
        int[] widths = [.. TableColumns.Select((column, i) => Math.Max(Math.Max(3, Columns[column].Heading.Length), cells.Max(row => row[i].Length)))];
        WriteRow(TableColumns.Select((column, i) => Pad(Columns[column].Heading, column, widths[i])));
        WriteRow(TableColumns.Select((column, i) => IsNumber(column) ? new string('-', widths[i] - 1) + ":" : new string('-', widths[i])));
        foreach (string[] row in cells) WriteRow(TableColumns.Select((column, i) => Pad(row[i], column, widths[i])));
    }

    private static string Escape(string text) => text.Replace(@"\", @"\\", StringComparison.Ordinal).Replace("|", @"\|", StringComparison.Ordinal).ReplaceLineEndings(" ");

    private static string Cell(ResultRow row, int column) => row.Values[column] is null ? "-" : Escape(row.Displays[column]);

    private bool IsNumber(int column) => Columns[column].Type is ColumnType.Integer or ColumnType.Real;

    private string Pad(string text, int column, int width) => IsNumber(column) ? text.PadLeft(width) : text.PadRight(width);

    private void WriteRow(IEnumerable<string> cells)
    {
        StringBuilder line = new("|");
        foreach (string cell in cells) line.Append(' ').Append(cell).Append(" |");
        Output.WriteLine(line);
    }
}
