using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Equip.Bench.Output;

namespace Equip.Bench.Eval;

/// <summary>
/// Results by what they are results of: those that a file of JSON lines held when it was opened, and those added since, each of which is
/// written at once. A last line that was cut short is dropped. The file stays open, so that no other process adds to it meanwhile.
/// </summary>
internal sealed class EvalLog : IDisposable
{
    private readonly Dictionary<string, JsonObject> _records = [];
    private readonly FileStream? _file;

    /// <summary>Opens or makes a file; null keeps results in memory only.</summary>
    /// <param name="path">The file.</param>
    /// <param name="note">Told of lines that are no results.</param>
    public EvalLog(string? path, Action<string> note)
    {
        if (path is null) return;
        _file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
        byte[] bytes = new byte[_file.Length];
        _file.ReadExactly(bytes);
        int end = bytes.AsSpan().LastIndexOf((byte)'\n') + 1;
        foreach (JsonObject record in Parse(Encoding.UTF8.GetString(bytes, 0, end), path, note)) _records[EvalRow.KeyOf(record)] = record;
        if (end == bytes.Length) return;
        if (TryParse(Encoding.UTF8.GetString(bytes, end, bytes.Length - end)) is { } last)
        {
            // Whole, but for its line break.
            _records[EvalRow.KeyOf(last)] = last;
            _file.WriteByte((byte)'\n');
            return;
        }

        note($"{path}: the last line was cut short; it is measured again");
        _file.SetLength(end);
        _file.Position = end;
    }

    /// <summary>Reads results from files, the later of two of the same measurement counting; lines that are no results are skipped with a note.</summary>
    public static IReadOnlyList<JsonObject> Read(IEnumerable<string> paths, Action<string> note)
    {
        OrderedDictionary<string, JsonObject> records = [];
        foreach (string path in paths)
            foreach (JsonObject record in Parse(File.ReadAllText(path), path, note)) records[EvalRow.KeyOf(record)] = record;
        return [.. records.Values];
    }

    /// <summary>The result of a measurement, if it is known.</summary>
    public JsonObject? Find(JsonObject work) => _records.GetValueOrDefault(EvalRow.KeyOf(work));

    /// <summary>Adds a result.</summary>
    public void Add(JsonObject record)
    {
        _records[EvalRow.KeyOf(record)] = record;
        if (_file is null) return;
        _file.Write(Encoding.UTF8.GetBytes(record.ToJsonString(JsonText.Options) + "\n"));
        _file.Flush(flushToDisk: true);
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _file?.Dispose();

    private static IEnumerable<JsonObject> Parse(string text, string path, Action<string> note)
    {
        int number = 0;
        foreach (string line in text.Split('\n'))
        {
            number++;
            if (string.IsNullOrWhiteSpace(line)) continue;
            if (TryParse(line) is { } record) yield return record;
            else note($"{path}: line {number} is no result of eval; skipped");
        }
    }

    private static JsonObject? TryParse(string line)
    {
        try
        {
            return JsonNode.Parse(line) is JsonObject record && record["task"] is not null && record["policy"] is not null ? record : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
