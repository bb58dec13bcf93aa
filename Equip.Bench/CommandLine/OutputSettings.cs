using System.CommandLine;
using Equip.Bench.Output;

namespace Equip.Bench.CommandLine;

/// <summary>The option that says how results are written.</summary>
internal sealed class OutputSettings
{
    private readonly ListOption<Func<ResultWriter>> _format = ListOptions.Names(
        ["--output", "-o"], "How results are written to the standard output.", Formats, one: true);

    /// <summary>The formats.</summary>
    public static Choices<Func<ResultWriter>> Formats { get; } = new(
    [
        ("md", () => new MarkdownWriter()),
        ("csv", () => new CsvWriter()),
        ("json", () => new JsonWriter()),
        ("jsonl", () => new JsonLinesWriter()),
        ("sql", () => new SqlWriter()),
        ("html", () => new HtmlWriter()),
    ]);

    /// <summary>The option.</summary>
    public Option Option => _format;

    /// <summary>Whether the format is one that leaves out what people need not see.</summary>
    public bool IsForPeople(ParseResult parsed) => _format.Single(parsed)() is ViewWriter;

    /// <summary>Starts a table on the standard output.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="name">What the table is called where a format names it.</param>
    /// <param name="columns">Its columns.</param>
    /// <param name="context">Where it goes.</param>
    /// <param name="json">What writes json instead of a list of rows.</param>
    /// <param name="figures">Makes what html shows above the table, when all rows are there.</param>
    public ResultTable<TRow> Open<TRow>(
        ParseResult parsed, string name, IReadOnlyList<Column<TRow>> columns, ToolContext context, ResultWriter? json = null, Func<string>? figures = null)
    {
        ResultWriter writer = _format.Single(parsed)();
        if (writer is HtmlWriter page) page.Figures = figures;
        return new(name, columns, writer is JsonWriter && json is not null ? json : writer, context.Output);
    }
}
