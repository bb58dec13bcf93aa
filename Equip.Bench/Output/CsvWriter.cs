using System.Text.Json.Nodes;

namespace Equip.Bench.Output;

/// <summary>Comma-separated values by RFC 4180: CRLF lines, a header, quotes where needed. A missing value is empty, an empty text is "".</summary>
internal sealed class CsvWriter : ResultWriter
{
    public override void Row(ResultRow row) => WriteLine(row.Values.Select(Field));

    protected override void Begin() => WriteLine(Columns.Select(column => Quote(column.Name)));

    private static string Field(JsonNode? value) => value is null ? "" : Plain(value) is { Length: > 0 } text ? Quote(text) : "\"\"";

    private static string Quote(string text) =>
        text.AsSpan().IndexOfAny("\",\r\n") >= 0 || text != text.Trim() ? $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : text;

    private void WriteLine(IEnumerable<string> fields) => Output.Write(string.Join(',', fields) + "\r\n");
}
