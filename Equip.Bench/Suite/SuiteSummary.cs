using Equip.Bench.Decode;

namespace Equip.Bench.Suite;

/// <summary>The geometric means at the end of each block.</summary>
internal static class SuiteSummary
{
    private const int LongBudget = 1024;

    /// <summary>The rows of every block, followed by its means.</summary>
    public static IReadOnlyList<SuiteRow> WithMeans(IReadOnlyList<SuiteRow> rows) =>
        [.. rows.GroupBy(row => row.Block).SelectMany(block => block.Concat(Means([.. block])))];

    private static IEnumerable<SuiteRow> Means(IReadOnlyList<SuiteRow> block)
    {
        foreach (IGrouping<string, SuiteRow> over in block.GroupBy(row => row.Over)) yield return Mean("geomean", over.Key, [.. over]);
        if (block[0].Context is null)
        {
            yield return Mean("geomean", "published form", [.. block.Where(row => row.Published)]);
            foreach (IGrouping<string, SuiteRow> over in block.Where(row => row.MultiHead && row.Budget >= LongBudget).GroupBy(row => row.Over))
                yield return Mean($"geomean, MHA, W >= {LongBudget}", over.Key, [.. over]);
        }
        else
        {
            foreach (IGrouping<int?, SuiteRow> context in block.GroupBy(row => row.Context).OrderBy(group => group.Key))
                yield return Mean($"geomean, context {context.Key}", block[0].Over, [.. context]) with { Context = context.Key };
        }
    }

    private static SuiteRow Mean(string shape, string over, IReadOnlyList<SuiteRow> rows) => rows[0] with
    {
        Cell = "",
        Shape = shape,
        Over = over,
        Layers = null,
        Sequences = null,
        Budget = null,
        Context = null,
        Count = rows.Count,
        Step = Mean([.. rows.Select(row => row.Step)]),
        Cache = Mean([.. rows.Select(row => row.Cache)]),
        InPlaceRate = null,
        ExtraRate = null,
        MemoryRate = null,
        Turns = null,
        Note = null,
    };

    private static SuiteRatio Mean(IReadOnlyList<SuiteRatio> ratios) =>
        new(null, null, Statistics.GeometricMean(ratios.Select(ratio => ratio.Times)), Statistics.GeometricMean(ratios.Select(ratio => ratio.Predicted)));
}
