using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Equip.Model.Config;

/// <summary>Reads the small text files of a model folder. Every failure becomes a <see cref="ModelFormatException"/>.</summary>
internal static class JsonFile
{
    /// <summary>The largest text file that is read. The largest known ones (tokenizers, shard indices) have some tens of megabytes.</summary>
    public const int MaxBytes = 100_000_000;

    private const int MaxQuoted = 100;

    /// <summary>The bytes of a file.</summary>
    public static byte[] ReadAllBytes(string path)
    {
        try
        {
            using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            if (stream.Length > MaxBytes) throw new ModelFormatException(path, "length", $"got {stream.Length} bytes, expected at most {MaxBytes}");
            byte[] bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            return bytes;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw Unreadable(path, failure);
        }
    }

    /// <summary>The root object of a file.</summary>
    public static JsonFields ReadObject(string path) => ParseObject(path, ReadAllBytes(path));

    /// <summary>The root object of a file's bytes, duplicate names refused.</summary>
    public static JsonFields ParseObject(string path, byte[] bytes)
    {
        RequireUtf8(path, bytes);
        JsonElement root;
        try
        {
            // Cloned: the copy is garbage-collected memory, so that nobody has to dispose it.
            using JsonDocument document = JsonDocument.Parse(bytes, new JsonDocumentOptions { AllowDuplicateProperties = false });
            root = document.RootElement.Clone();
        }
        catch (Exception failure) when (failure is JsonException or InvalidOperationException)
        {
            throw NotJson(path, "text", failure);
        }

        if (root.ValueKind != JsonValueKind.Object) throw new ModelFormatException(path, "text", $"got {Describe(root)}, expected an object");
        return new JsonFields(path, string.Empty, root);
    }

    /// <summary>The JSON readers look at a text's encoding only where it is asked for.</summary>
    public static void RequireUtf8(string path, ReadOnlySpan<byte> bytes)
    {
        if (!Utf8.IsValid(bytes)) throw new ModelFormatException(path, "text", "not UTF-8");
    }

    public static ModelFormatException Unreadable(string path, Exception failure) => failure is FileNotFoundException or DirectoryNotFoundException
        ? new ModelFormatException(path, "file", "not found", failure)
        : new ModelFormatException(path, "file", $"cannot be read: {OneLine(failure.Message)}", failure);

    /// <summary>The error of a reader, which is a <see cref="JsonException"/>, or an InvalidOperationException where an escaped surrogate stands alone.</summary>
    public static ModelFormatException NotJson(string path, string field, Exception failure)
        => new(path, field, $"not JSON: {OneLine(failure.Message)}", failure);

    /// <summary>Text from a file as it may stand in a message: in quotes, on one line, not too long.</summary>
    public static string Quote(string text) => $"'{OneLine(text)}'";

    /// <summary>A value as it may stand in a message.</summary>
    public static string Describe(JsonElement value)
    {
        try
        {
            return value.ValueKind switch
            {
                JsonValueKind.Object => "an object",
                JsonValueKind.Array => "a list",
                JsonValueKind.String => Quote(value.GetString()!),
                JsonValueKind.Number => OneLine(value.GetRawText()),
                JsonValueKind.True => "true",
                JsonValueKind.False => "false",
                _ => "null",
            };
        }
        catch (InvalidOperationException)
        {
            return "text that is not Unicode";
        }
    }

    public static string OneLine(string text)
    {
        StringBuilder line = new();
        foreach (char c in text.AsSpan(0, Math.Min(text.Length, MaxQuoted)))
        {
            if (char.IsControl(c) || char.IsSurrogate(c) || c is '\u2028' or '\u2029') line.Append($"\\u{(int)c:x4}");
            else line.Append(c);
        }

        return text.Length > MaxQuoted ? $"{line}..." : line.ToString();
    }
}
