using Equip.Bench.Decode;

namespace Equip.Bench.Suite;

/// <summary>The geometric means at the end of each block.</summary>
internal static class SuiteSummary
{
    /// <summary>The rows of every block, followed by its means.</summary>
    public static IReadOnlyList<SuiteRow> WithMeans(IReadOnlyList<SuiteRow> rows) =>
        [.. rows.GroupBy(row => row.Block).SelectMany(block => block.Concat(Means([.. block]))).Select(SuiteGoal.Judge)];

    private static IEnumerable<SuiteRow> Means(IReadOnlyList<SuiteRow> block)
    {
        foreach (IGrouping<string, SuiteRow> over in block.GroupBy(row => row.Over)) yield return Mean("geomean", over.Key, [.. over]);
        if (block[0].Context is null)
        {
            if (block.Any(row => row.Published)) yield return Mean("geomean", SuiteGoal.PublishedForm, [.. block.Where(row => row.Published)]);
            foreach (IGrouping<string, SuiteRow> over in block.Where(row => row.MultiHead && row.Budget >= SuiteGoal.LongBudget).GroupBy(row => row.Over))
                yield return Mean(SuiteGoal.MultiHead, over.Key, [.. over]);
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
        EvictionShare = rows.All(row => row.EvictionShare is not null) ? rows.Average(row => row.EvictionShare) : null,
        Turns = null,
        Note = $"{SuiteCause.Enough} of the bytes' ratio or more: step {rows.Count(row => row.Step.Reached >= SuiteCause.Enough)}, attention+cache {rows.Count(row => row.Cache.Reached >= SuiteCause.Enough)} of {rows.Count}",
    };

    private static SuiteRatio Mean(IReadOnlyList<SuiteRatio> ratios) =>
        new(null, null, Statistics.GeometricMean(ratios.Select(ratio => ratio.Times)), Statistics.GeometricMean(ratios.Select(ratio => ratio.Predicted)));
}
