using System.CommandLine;
using System.Text.Json.Nodes;
using Equip.Bench.CommandLine;
using Equip.Bench.Output;

namespace Equip.Bench.Eval;

/// <summary>"equip eval report": one table or page of results that were measured earlier, on one machine or many.</summary>
internal sealed class EvalReportCommand : ToolCommand
{
    private readonly Argument<string[]> _files = new("files") { Description = "Files that eval wrote (--out, or -o jsonl).", HelpName = "FILE", Arity = ArgumentArity.OneOrMore };
    private readonly OutputSettings _output = new();

    public EvalReportCommand()
        : base(
            "report",
            "Put earlier results together.",
            """
              md, html    a row a cache, a column a task and budget: perplexity, or percent of correct answers; html draws
                          them as curves besides
              others      the results as they are, one row each

              Results of the same measurement count once, the last one. Files may be concatenated before.
            """,
            """
              equip eval report results.jsonl
              equip eval report shard-*.jsonl -o html > quality.html
              cat shard-*.jsonl > all.jsonl && equip eval report all.jsonl -o csv
            """)
    {
        Arguments.Add(_files);
        AddAll(_output.Option);
    }

    protected override int Run(ParseResult parsed, ToolContext context)
    {
        IReadOnlyList<JsonObject> records = EvalLog.Read(parsed.GetRequiredValue(_files), note => context.Error.WriteLine($"equip: {note}"));
        if (records.Count == 0) throw new ArgumentException("files: got no results, expected those that eval wrote");
        if (!_output.IsForPeople(parsed))
        {
            using ResultTable<JsonObject> table = _output.Open(parsed, "eval", EvalRow.RecordColumns, context);
            foreach (JsonObject record in records) table.Add(record);
            return Cli.Success;
        }

        IReadOnlyList<EvalSeries> series = EvalSeries.Of(records);
        using ResultTable<EvalSeries> results = _output.Open(parsed, "quality", ColumnsOf(series), context, figures: () => EvalCurves.Html(records));
        foreach (EvalSeries one in series) results.Add(one);
        return Cli.Success;
    }

    private static IReadOnlyList<Column<EvalSeries>> ColumnsOf(IReadOnlyList<EvalSeries> series) =>
    [
        .. EvalSeries.Settings.Select(column => column.Over<EvalSeries>(one => one.Record)),
        .. from task in EvalSeries.TasksOf(series)
           from budget in EvalSeries.BudgetsOf(series, task).DefaultIfEmpty(0)
           select new Column<EvalSeries>($"{task}_{budget}", budget == 0 ? task : $"{task} {budget}", ColumnType.Real, ColumnView.Shown, one => Format.Real(one.At(task, budget)))
           {
               Show = value => EvalSeries.Format(task, value.GetValue<double>()),
           },
    ];
}
