using Equip.Bench.CommandLine;
using Equip.Kernels.Eviction;
using Equip.Model.Transformer;

namespace Equip.Bench.Eval;

/// <summary>Sets of caches that belong together.</summary>
internal static class EvalSuites
{
    /// <summary>The suites by name: each makes its caches from those of the command line, whose budgets, windows and the like it takes.</summary>
    public static Choices<Func<IEnumerable<CacheOptions>, IEnumerable<CacheOptions>>?> Names { get; } = new(
    [
        ("none", null), ("laprox-ablation", LaProxAblation),
    ]);

    /// <summary>
    /// The ablations of LaProx's paper (arXiv 2605.07234): attention alone, times |v|, times |v W_O|; chosen a head, a layer, and over the
    /// model with raw and with normalised scores; and the whole with a sum in place of the 2-norm over the window. Pooling is the paper's
    /// average over 7 unless asked for otherwise.
    /// </summary>
    private static IEnumerable<CacheOptions> LaProxAblation(IEnumerable<CacheOptions> asked)
    {
        CacheOptions[] bases =
        [
            .. asked.Where(cache => cache.Policy != CacheSettings.Full).Select(cache => cache with
            {
                Policy = LaProxPolicy.Description.Name,
                Reading = ScoreReading.Joint,
                Allocation = Allocation.Model,
                Reduction = ColumnReduction.L2,
                PoolKernel = cache.PoolKernel == 0 ? 7 : cache.PoolKernel,
                PoolMode = cache.PoolMode == PoolMode.Policy ? PoolMode.Average : cache.PoolMode,
            }).Distinct(),
        ];
        foreach (CacheOptions cache in bases)
        {
            foreach (ScoreReading reading in new[] { ScoreReading.Attention, ScoreReading.Value, ScoreReading.Joint })
                foreach (Allocation allocation in new[] { Allocation.Head, Allocation.Layer, Allocation.ModelRaw, Allocation.Model })
                    yield return cache with { Reading = reading, Allocation = allocation };
            yield return cache with { Reduction = ColumnReduction.Sum };
        }
    }
}
