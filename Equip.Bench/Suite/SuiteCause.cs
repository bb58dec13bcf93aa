using Equip.Bench.Output;

namespace Equip.Bench.Suite;

/// <summary>
/// Names what keeps a ratio below the one that bytes predict, from what was measured beside it. Bytes predict a ratio for equal
/// rates: it is missed if the other's extra passes run faster than attention does.
/// </summary>
internal static class SuiteCause
{
    /// <summary>The share of the predicted ratio that needs no explanation.</summary>
    public const double Enough = 0.85;

    // Rates this far from memory's are not memory's; a difference of times below this share says nothing of a rate.
    private const double Above = 1.15, Below = 0.8, Difference = 0.2;

    /// <summary>The cause, or null if there is nothing to explain.</summary>
    /// <param name="row">The comparison.</param>
    /// <param name="layerBytes">K and V of one layer and sequence.</param>
    public static string? Name(SuiteRow row, long layerBytes)
    {
        if (row.Step.Reached >= Enough && row.Cache.Reached >= Enough) return null;
        double memory = row.MemoryRate ?? 0, attention = row.InPlaceRate ?? 0, extra = row.ExtraRate ?? 0;
        List<string> causes = [];
        if (row.Cache.Reached < Enough)
        {
            string work = row.Block == SuitePlan.H2OCache ? "keys are rotated as they are read" : "arithmetic and fixed costs";
            if (attention < Below * memory) causes.Add($"attention does {Format.Rate(attention)} where memory reads {Format.Rate(memory)}: {work}");
            if (row.Context is null && row.Cache.OverMs > (1 + Difference) * row.Cache.InPlaceMs && extra > Above * Math.Min(memory, attention))
                causes.Add($"extra passes do {Format.Rate(extra)}: a layer's {Format.Bytes(layerBytes)} stay in cache between them");
            if (causes.Count == 0) causes.Add($"extra {Format.Rate(extra)}, attention {Format.Rate(attention)}, memory {Format.Rate(memory)}");
        }
        else
        {
            double other = (row.Step.InPlaceMs - row.Cache.InPlaceMs) ?? 0;
            causes.Add($"the rest of the step takes {Format.Number(other)} ms, more than its bytes at attention's rate");
        }

        return string.Join("; ", causes);
    }
}
