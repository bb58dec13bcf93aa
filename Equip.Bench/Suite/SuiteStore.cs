using System.Text.Json;
using Equip.Bench.CommandLine;

namespace Equip.Bench.Suite;

/// <summary>Finished cells in a file, a row a line, so that a long run can be cut short and taken up again.</summary>
internal sealed class SuiteStore
{
    private readonly string? _file;
    private readonly ILookup<string, SuiteRow> _rows;

    /// <summary>Reads what is there; without a file nothing is kept.</summary>
    /// <exception cref="UsageException">A line is not a row of the suite.</exception>
    public SuiteStore(string? file)
    {
        _file = file;
        string[] lines = file is not null && File.Exists(file) ? File.ReadAllLines(file) : [];
        _rows = lines.Select(Parse).ToLookup(row => row.Cell);
    }

    /// <summary>The rows of a cell, none if it was not finished.</summary>
    /// <param name="key">The cell's key.</param>
    /// <param name="run">How it was measured: rows of another description do not count.</param>
    public IReadOnlyList<SuiteRow> Rows(string key, SuiteRunFacts run) => [.. _rows[key].Where(row => SuiteRunFacts.Of(row) == run)];

    /// <summary>Adds the rows of a finished cell.</summary>
    public void Add(IEnumerable<SuiteRow> rows)
    {
        if (_file is not null) File.AppendAllLines(_file, rows.Select(row => JsonSerializer.Serialize(row)));
    }

    private static SuiteRow Parse(string line, int index)
    {
        try
        {
            return JsonSerializer.Deserialize<SuiteRow>(line) ?? throw new JsonException("null");
        }
        catch (JsonException problem)
        {
            throw new UsageException($"--resume: line {index + 1} is not a row of the suite: {problem.Message.ReplaceLineEndings(" ")}");
        }
    }
}

/// <summary>What must be the same for two rows to stand in one table.</summary>
internal sealed record SuiteRunFacts(string KvType, string Weights, string Isa, int Threads, string Run)
{
    public static SuiteRunFacts Of(SuiteRow row) => new(row.KvType, row.Weights, row.Isa, row.Threads, row.Run);
}
