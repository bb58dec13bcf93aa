using System.Text.Json.Nodes;

namespace Equip.Bench.Output;

/// <summary>A JSON array with one object a row and one row a line. Also an array when there are no rows.</summary>
internal sealed class JsonWriter : ResultWriter
{
    private bool _any;

    public override void Row(ResultRow row)
    {
        Output.Write((_any ? ",\n  " : "\n  ") + JsonLinesWriter.ToText(Columns, row));
        _any = true;
    }

    public override void End() => Output.Write(_any ? "\n]\n" : "]\n");

    protected override void Begin() => Output.Write("[");
}

/// <summary>JSON lines: one object a row and line, written as soon as the row is finished.</summary>
internal sealed class JsonLinesWriter : ResultWriter
{
    /// <summary>A row as a JSON object.</summary>
    public static string ToText(IReadOnlyList<Column> columns, ResultRow row)
    {
        JsonObject fields = [];
        for (int i = 0; i < columns.Count; i++) fields.Add(columns[i].Name, row.Values[i]?.DeepClone());
        return fields.ToJsonString(JsonText.Options);
    }

    public override void Row(ResultRow row) => Output.Write(ToText(Columns, row) + "\n");
}
