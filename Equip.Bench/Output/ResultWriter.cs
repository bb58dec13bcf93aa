using System.Text.Json;
using System.Text.Json.Nodes;

namespace Equip.Bench.Output;

/// <summary>A format for tables. A writer is used once: begin, rows, end.</summary>
internal abstract class ResultWriter
{
    /// <summary>The table's name.</summary>
    protected string Name { get; private set; } = "";

    /// <summary>The columns.</summary>
    protected IReadOnlyList<Column> Columns { get; private set; } = [];

    /// <summary>Where the table goes.</summary>
    protected TextWriter Output { get; private set; } = TextWriter.Null;

    /// <summary>A value as unquoted text: numbers in full precision with a point, lists and objects as JSON.</summary>
    public static string Plain(JsonNode value) =>
        value is JsonValue scalar && scalar.TryGetValue(out string? text) ? text : value.ToJsonString(JsonText.Options);

    /// <summary>Starts the table.</summary>
    public void Begin(string name, IReadOnlyList<Column> columns, TextWriter output)
    {
        (Name, Columns, Output) = (name, columns, output);
        Begin();
    }

    /// <summary>Writes or keeps a row.</summary>
    public abstract void Row(ResultRow row);

    /// <summary>Ends the table.</summary>
    public virtual void End()
    {
    }

    /// <summary>Writes what comes before the first row.</summary>
    protected virtual void Begin()
    {
    }
}

/// <summary>How JSON is written: a line an object, characters as they are rather than escaped for html.</summary>
internal static class JsonText
{
    public static JsonSerializerOptions Options { get; } = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
}
