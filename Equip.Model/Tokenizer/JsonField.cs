using System.Text.Json;
using System.Text.Unicode;

namespace Equip.Model.Tokenizer;

/// <summary>A place in a JSON file that knows its file and path, so that whatever is wrong with it can be named.</summary>
/// <param name="file">The file, as the user named it.</param>
/// <param name="parent">The object or array it is in; null for the root. Paths are joined when an error needs them.</param>
/// <param name="name">Its name in an object, null in an array.</param>
/// <param name="index">Its index in an array.</param>
/// <param name="element">The value; undefined if missing.</param>
internal sealed class JsonField(string file, JsonField? parent, string? name, int index, JsonElement element)
{
    /// <summary>Whether the field is missing or null.</summary>
    public bool IsNull => element.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null;

    /// <summary>The string in the member "type".</summary>
    public string Type => this["type"].Text();

    /// <summary>A member of this object; may be missing.</summary>
    public JsonField this[string member]
    {
        get
        {
            Expect(JsonValueKind.Object, "an object").TryGetProperty(member, out JsonElement value);
            return new JsonField(file, this, member, 0, value);
        }
    }

    /// <summary>An element of this array, of which there must be more.</summary>
    public JsonField this[int at] => new(file, this, null, at, Expect(JsonValueKind.Array, "an array")[at]);

    /// <summary>Parses a file and hands its root to <paramref name="read"/>.</summary>
    public static T Read<T>(string file, Func<JsonField, T> read)
    {
        try
        {
            return Parse(File.ReadAllBytes(file), file, read);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ModelFormatException(file, "file", $"cannot be read: {error.Message}", error);
        }
    }

    /// <summary>Parses JSON text that was found in <paramref name="file"/>.</summary>
    public static T Parse<T>(ReadOnlyMemory<byte> json, string file, Func<JsonField, T> read)
    {
        // JsonDocument checks this when a string is read, and then with errors of its own.
        if (!Utf8.IsValid(json.Span)) throw new ModelFormatException(file, "JSON", "holds bytes that are not UTF-8");
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(json, new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = 32 });
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: a name holds half of a surrogate pair.
            throw new ModelFormatException(file, "JSON", error.Message, error);
        }

        using (document) return read(new JsonField(file, null, "", 0, document.RootElement));
    }

    public ModelFormatException Error(string problem, Exception? inner = null) => new(file, Path.Length == 0 ? "root" : Path, problem, inner);

    /// <summary>"... is not supported, expected ..." for a part that is not supported.</summary>
    public ModelFormatException NotSupported(string supported) => this["type"].Error($"{Type} is not supported, expected {supported}");

    public string Text()
    {
        Expect(JsonValueKind.String, "a string");
        try
        {
            return element.GetString()!;
        }
        catch (InvalidOperationException error)
        {
            throw Error("holds half of a surrogate pair, expected Unicode text", error);
        }
    }

    public bool Flag(bool missing) => element.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ when IsNull => missing,
        _ => throw Error($"got {Kind}, expected true or false"),
    };

    public int Integer(int max)
    {
        Expect(JsonValueKind.Number, "a number");
        if (!element.TryGetInt32(out int value) || value < 0 || value > max) throw Error($"got {element.GetRawText()}, expected an integer from 0 to {max}");
        return value;
    }

    /// <summary>The one character of a string; none above U+FFFF.</summary>
    public char Character()
    {
        string text = Text();
        return text.Length == 1 ? text[0] : throw Error($"got \"{text}\", expected one character up to U+FFFF");
    }

    /// <summary>The number of elements of an array, or of members of an object.</summary>
    public int Count => IsObject ? element.GetPropertyCount() : Expect(JsonValueKind.Array, "an array").GetArrayLength();

    public IEnumerable<JsonField> Items()
    {
        int at = 0;
        foreach (JsonElement item in Expect(JsonValueKind.Array, "an array").EnumerateArray()) yield return new JsonField(file, this, null, at++, item);
    }

    public IEnumerable<(string Name, JsonField Value)> Members()
    {
        foreach (JsonProperty property in Expect(JsonValueKind.Object, "an object").EnumerateObject())
        {
            string member = property.Name;
            yield return (member, new JsonField(file, this, member, 0, property.Value));
        }
    }

    public bool IsText => element.ValueKind == JsonValueKind.String;

    public bool IsObject => element.ValueKind == JsonValueKind.Object;

    /// <summary>Whether the field is the number 0.</summary>
    public bool IsZero => element.ValueKind == JsonValueKind.Number && element.TryGetDouble(out double value) && value == 0;

    private string Kind => IsNull ? "nothing" : element.ValueKind.ToString().ToLowerInvariant();

    private string Path => name is null ? $"{parent!.Path}[{index}]" : parent is null or { Path: "" } ? name : $"{parent.Path}.{name}";

    private JsonElement Expect(JsonValueKind kind, string words) => element.ValueKind == kind ? element : throw Error($"got {Kind}, expected {words}");
}
