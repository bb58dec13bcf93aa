using System.Text.Json.Nodes;

namespace Equip.Bench.Output;

/// <summary>
/// SQL statements: a table if there is none yet, then an INSERT a row. Names are quoted, as "update" and "window" are keywords.
/// Runs in SQLite and PostgreSQL, and in MySQL's ANSI mode.
/// </summary>
internal sealed class SqlWriter : ResultWriter
{
    public override void Row(ResultRow row) =>
        Output.Write($"INSERT INTO {Identifier(Name)} ({string.Join(", ", Columns.Select(column => Identifier(column.Name)))}) VALUES ({string.Join(", ", row.Values.Select(Literal))});\n");

    protected override void Begin() =>
        Output.Write($"CREATE TABLE IF NOT EXISTS {Identifier(Name)} (\n{string.Join(",\n", Columns.Select(column => $"  {Identifier(column.Name)} {TypeOf(column)}"))}\n);\n");

    private static string TypeOf(Column column) => column.Type switch
    {
        ColumnType.Integer => "BIGINT",
        ColumnType.Real => "DOUBLE PRECISION",
        _ => "TEXT",
    };

    private static string Identifier(string name) => $"\"{name.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";

    private static string Literal(JsonNode? value) => value switch
    {
        null => "NULL",
        JsonValue number when number.GetValueKind() == System.Text.Json.JsonValueKind.Number => Plain(number),
        _ => $"'{Plain(value).Replace("'", "''", StringComparison.Ordinal)}'",
    };
}
