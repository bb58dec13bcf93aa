using System.Globalization;
using System.Text.Json;

namespace Equip.Model.Config;

/// <summary>
/// The fields of a JSON object, read with their types and ranges. Null counts as absent, because Transformers writes it for
/// "not set". Fields that nobody asks for are ignored.
/// </summary>
internal readonly struct JsonFields(string file, string prefix, JsonElement element)
{
    /// <summary>The file, as the user named it.</summary>
    public string File { get; } = file;

    /// <summary>Whether the field is there, even if null.</summary>
    public bool Names(string name) => element.TryGetProperty(name, out _);

    /// <summary>Whether the field is there and not null.</summary>
    public bool Has(string name) => Find(name, out _);

    public int Int(string name, int min, int max) => OptionalInt(name, min, max) ?? throw Missing(name, $"an integer from {min} to {max}");

    public int? OptionalInt(string name, int min, int max) => Find(name, out JsonElement value) ? ToInt(name, value, min, max) : null;

    /// <summary>A field that is one integer or a list of them; null if absent.</summary>
    public int[]? OptionalInts(string name, int min, int max)
    {
        if (!Find(name, out JsonElement value)) return null;
        if (value.ValueKind != JsonValueKind.Array) return [ToInt(name, value, min, max)];
        int[] values = new int[value.GetArrayLength()];
        int count = 0;
        foreach (JsonElement item in value.EnumerateArray()) values[count++] = ToInt(name, item, min, max);
        return values;
    }

    /// <summary>A list of lists of integers.</summary>
    public int[][] ListsOfInts(string name, int min, int max)
    {
        const string expected = "a list of lists of integers";
        if (!Find(name, out JsonElement value)) throw Missing(name, expected);
        if (value.ValueKind != JsonValueKind.Array) throw Wrong(name, value, expected);
        List<int[]> lists = [];
        foreach (JsonElement list in value.EnumerateArray())
        {
            if (list.ValueKind != JsonValueKind.Array) throw Wrong(name, list, expected);
            List<int> items = [];
            foreach (JsonElement item in list.EnumerateArray()) items.Add(ToInt(name, item, min, max));
            lists.Add([.. items]);
        }

        return [.. lists];
    }

    public double Number(string name, double min, double max) => OptionalNumber(name, min, max) ?? throw Missing(name, Range(min, max));

    public double? OptionalNumber(string name, double min, double max)
    {
        if (!Find(name, out JsonElement value)) return null;
        // The comparison also refuses 1e999, which reads as infinity.
        if (value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && number >= min && number <= max) return number;
        throw Wrong(name, value, Range(min, max));
    }

    public bool Bool(string name, bool absent) => !Find(name, out JsonElement value)
        ? absent
        : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(name, value, "true or false");

    public string? Text(string name)
    {
        if (!Find(name, out JsonElement value)) return null;
        return ToText(name, value, "text");
    }

    /// <summary>A list of texts; null if absent.</summary>
    public string[]? Texts(string name)
    {
        if (!Find(name, out JsonElement value)) return null;
        if (value.ValueKind != JsonValueKind.Array) throw Wrong(name, value, "a list of texts");
        string[] texts = new string[value.GetArrayLength()];
        int count = 0;
        foreach (JsonElement item in value.EnumerateArray()) texts[count++] = ToText(name, item, "a list of texts");
        return texts;
    }

    public JsonFields? Object(string name)
    {
        if (!Find(name, out JsonElement value)) return null;
        if (value.ValueKind != JsonValueKind.Object) throw Wrong(name, value, "an object");
        return new JsonFields(File, $"{prefix}{name}.", value);
    }

    /// <summary>If a field is an object: the first that is, and whether all fields are and have the same content. Null otherwise.</summary>
    public (JsonFields First, bool Same)? Nested()
    {
        JsonElement all = element;
        JsonProperty first = all.EnumerateObject().FirstOrDefault(property => property.Value.ValueKind == JsonValueKind.Object);
        if (first.Value.ValueKind != JsonValueKind.Object) return null;
        bool same = all.EnumerateObject().All(property => JsonElement.DeepEquals(first.Value, property.Value));
        return (new JsonFields(File, $"{prefix}{JsonFile.OneLine(first.Name)}.", first.Value), same);
    }

    /// <summary>An error of this object's field.</summary>
    public ModelFormatException Error(string name, string problem) => new(File, prefix + name, problem);

    private static string Range(double min, double max) => string.Create(CultureInfo.InvariantCulture, $"a number from {min:G7} to {max:G7}");

    private bool Find(string name, out JsonElement value) => element.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null;

    private int ToInt(string name, JsonElement value, int min, int max)
    {
        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) && number >= min && number <= max) return number;
        throw Wrong(name, value, $"an integer from {min} to {max}");
    }

    private string ToText(string name, JsonElement value, string expected)
    {
        if (value.ValueKind != JsonValueKind.String) throw Wrong(name, value, expected);
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException failure)
        {
            throw new ModelFormatException(File, prefix + name, "not Unicode text", failure);
        }
    }

    private ModelFormatException Missing(string name, string expected) => Error(name, $"missing, expected {expected}");

    private ModelFormatException Wrong(string name, JsonElement value, string expected) => Error(name, $"got {JsonFile.Describe(value)}, expected {expected}");
}
