using System.CommandLine;
using Equip.Bench.CommandLine;
using Equip.Bench.Output;
using Equip.Kernels.Dispatch;

namespace Equip.Bench.Suite;

/// <summary>The options of <c>equip decode --suite</c>, and its run.</summary>
internal sealed class SuiteSettings
{
    private readonly ListOption<string> _suite = ListOptions.Names(["--suite"], "Instead: a fixed set of comparisons. equip: in place over every baseline, and paged over the full cache. cost: what evicting in place costs.", new Choices<string>([("equip", "equip"), (SuitePlan.Cost, SuitePlan.Cost)]), one: true);
    private readonly Option<bool> _quick = new("--quick") { Description = "Of a suite, fewer budgets, contexts, layers and turns: under four minutes on two cores." };
    private readonly Option<string?> _resume = new("--resume") { Description = "Of a suite, keep finished parts in this file, and do not measure again what is in it.", HelpName = "FILE" };

    /// <summary>Every option.</summary>
    public IEnumerable<Option> All => [_suite, _quick, _resume];

    /// <summary>Whether a suite is asked for.</summary>
    /// <exception cref="UsageException">Options of a suite were given without one.</exception>
    public bool IsAsked(ParseResult parsed)
    {
        if (Given(parsed, _suite)) return true;
        foreach (Option option in new Option[] { _quick, _resume })
            if (Given(parsed, option)) throw new UsageException($"{option.Name}: belongs to --suite");
        return false;
    }

    /// <summary>Whether the suite asked for is that of what eviction costs.</summary>
    public bool AsksForCost(ParseResult parsed) => _suite.Single(parsed) == SuitePlan.Cost;

    /// <summary>Measures what the file has not, and writes the table; cut short, of the finished parts.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="narrow">Narrows the plan down to what the command line asks for.</param>
    /// <param name="kernels">Path and threads.</param>
    /// <param name="output">The format.</param>
    /// <param name="context">Where it goes.</param>
    public void Run(ParseResult parsed, Func<SuitePlan, SuitePlan> narrow, KernelContext kernels, OutputSettings output, ToolContext context)
    {
        bool quick = parsed.GetValue(_quick);
        SuitePlan plan = narrow(AsksForCost(parsed) ? (quick ? SuitePlan.QuickCost : SuitePlan.CostPlan) : quick ? SuitePlan.Quick : new SuitePlan());
        SuiteStore store = new(parsed.GetValue(_resume));
        IReadOnlyList<SuiteCell> cells = plan.Cells;
        List<SuiteRow> rows = [];
        using SuiteRun run = new(plan, kernels);
        try
        {
            ProgressDisplay.Run(context, cells.Count, "", report =>
            {
                foreach (SuiteCell cell in cells)
                {
                    IReadOnlyList<SuiteRow> finished = store.Rows(cell.Key, run.Facts);
                    report(0, cell.Key);
                    if (finished.Count == 0) store.Add(finished = run.Measure(cell, context.Stop));
                    rows.AddRange(finished);
                    report(1, cell.Key);
                }
            });
        }
        finally
        {
            using ResultTable<SuiteRow> table = output.Open(parsed, "equip", SuiteRow.Columns, context);
            foreach (SuiteRow row in SuiteSummary.WithMeans(rows)) table.Add(row);
        }
    }

    /// <summary>Whether an option stands on the command line.</summary>
    public static bool Given(ParseResult parsed, Option option) => parsed.GetResult(option) is { Implicit: false };
}
