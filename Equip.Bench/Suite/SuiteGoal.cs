using Equip.Bench.Output;

namespace Equip.Bench.Suite;

/// <summary>What is asked of a line of the table, and whether it is met. The published ratios are the geometric means of EQUIP (ACL 2026) on CPU.</summary>
/// <param name="Block">The part of the table.</param>
/// <param name="Shape">The line's shape; null for any.</param>
/// <param name="Over">What in place is compared with; null for any.</param>
/// <param name="Part">Step, or attention+cache.</param>
/// <param name="Limit">The least ratio, or the largest.</param>
internal sealed record SuiteGoal(string Block, string? Shape, string? Over, string Part, double Limit)
{
    /// <summary>The mean over the comparisons with what was published.</summary>
    public const string PublishedForm = "published form";

    /// <summary>The least budget at which the cache's own traffic is judged alone.</summary>
    public const int LongBudget = 1024;

    /// <summary>The mean over shapes without grouped heads, at these budgets.</summary>
    public const string MultiHead = "geomean, MHA, W >= 1024";

    private const string Step = "step", Cache = "attention+cache", Eviction = "eviction";

    private static readonly SuiteGoal[] _all =
    [
        new(SuitePlan.Streaming, null, PublishedForm, Step, 1.62),
        new(SuitePlan.H2O, null, PublishedForm, Step, 3.45),
        new(SuitePlan.H2OCache, null, PublishedForm, Step, 3.45),
        new(SuitePlan.Paged, "geomean", null, Step, 4.18),
        new(SuitePlan.Streaming, MultiHead, "A functional", Cache, 7),
        new(SuitePlan.Streaming, MultiHead, "B memmove", Cache, 3),
        new(SuitePlan.Streaming, MultiHead, "C fused shift", Cache, 2),
        new(SuitePlan.Streaming, MultiHead, "D ring rotate", Cache, 1.5),
        new(SuitePlan.Cost, null, "streaming over a full cache of the same fill", Step, 1.02),
        new(SuitePlan.Cost, null, "streaming over a full cache of the same fill", Eviction, 0.01),
        new(SuitePlan.Cost, null, "h2o over streaming", Step, 1.08),
        new(SuitePlan.Cost, null, "pages of 16 over one piece", Cache, 1 / 0.97),
    ];

    /// <summary>The row, its note followed by what is asked of it and whether it is met.</summary>
    public static SuiteRow Judge(SuiteRow row)
    {
        string[] notes = [.. _all.Where(goal => goal.AppliesTo(row)).Select(goal => goal.Verdict(row))];
        return notes.Length == 0 ? row : row with { Note = string.Join("; ", notes.Prepend(row.Note).OfType<string>()) };
    }

    private bool AppliesTo(SuiteRow row) =>
        row.Block == Block && (Over is null || row.Over == Over) && (Shape is null ? Block == SuitePlan.Cost || row.Count is not null : row.Count is not null && row.Shape.StartsWith(Shape, StringComparison.Ordinal));

    private string Verdict(SuiteRow row)
    {
        double reached = Part switch { Step => row.Step.Times, Cache => row.Cache.Times, _ => row.EvictionShare ?? double.NaN };
        bool costs = Block == SuitePlan.Cost, met = costs ? reached <= Limit : reached >= Limit;
        return $"asked: {Part} {(costs ? "at most" : "at least")} {Format.Number(Limit)}: {(met ? "met" : "not met")}";
    }
}
