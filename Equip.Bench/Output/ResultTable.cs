using System.Text.Json.Nodes;

namespace Equip.Bench.Output;

/// <summary>Takes rows and hands them to a writer. Disposing ends the table, also when the work was cut short.</summary>
internal sealed class ResultTable<TRow> : IDisposable
{
    private readonly IReadOnlyList<Column<TRow>> _columns;
    private readonly ResultWriter _writer;
    private readonly TextWriter _output;
    private readonly StringWriter? _held;

    /// <summary>Starts a table called <paramref name="name"/>.</summary>
    public ResultTable(string name, IReadOnlyList<Column<TRow>> columns, ResultWriter writer, TextWriter output)
    {
        _columns = columns;
        _writer = writer;
        _output = output;
        // On a terminal the rows wait for the end: a progress display may be on the same screen.
        _held = ReferenceEquals(output, Console.Out) && !Console.IsOutputRedirected ? new StringWriter() : null;
        writer.Begin(name, columns, _held ?? output);
    }

    /// <summary>Adds a row.</summary>
    public void Add(TRow row)
    {
        JsonNode?[] values = [.. _columns.Select(column => column.Value(row))];
        _writer.Row(new ResultRow(values, [.. _columns.Select((column, i) => Display(column, row, values[i]))]));
    }

    /// <summary>Writes what is left.</summary>
    public void Dispose()
    {
        _writer.End();
        if (_held is not null) _output.Write(_held.ToString());
        _output.Flush();
    }

    private static string Display(Column<TRow> column, TRow row, JsonNode? value) =>
        value is null ? "" : column.Display is { } display ? display(row) : column.Show is { } show ? show(value) : ResultWriter.Plain(value);
}

/// <summary>A row's values and how they look to people, in the order of the columns; a missing value is null and an empty text.</summary>
internal sealed record ResultRow(IReadOnlyList<JsonNode?> Values, IReadOnlyList<string> Displays);
