using Equip.Bench.CommandLine;
using Equip.Bench.Eval;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;

namespace Equip.Bench.Decode;

/// <summary>What each cache does to the perplexity of a model, over the first windows of the held-out text.</summary>
internal static class CacheQuality
{
    private const int PromptTokens = 512;

    /// <summary>Measures every (resolved) cache whose policy acts on a text that is only scored; the others are left out.</summary>
    public static IReadOnlyDictionary<CacheOptions, PerplexityChange> Measure(
        CpuExecutor executor, IEnumerable<CacheOptions> caches, int windows, Action<string> step, CancellationToken stop)
    {
        HeldoutWindows text = HeldoutWindows.Read(executor.Model, EvalData.PathOf(EvalData.Heldout), HeldoutWindows.DefaultTokens, windows);
        Dictionary<CacheOptions, PerplexityChange> results = [];
        // Channels are chosen at the end of a prompt.
        int promptTokens = caches.Any(cache => cache.Channels is not null) ? PromptTokens : 0;
        foreach (IGrouping<DataType, CacheOptions> group in caches.Distinct().Where(cache => Perplexity.CanMeasure(cache, promptTokens)).GroupBy(cache => cache.KvType))
        {
            CacheOptions full = CacheSettings.Resolve(executor, new CacheOptions { Policy = CacheSettings.Full, KvType = group.Key });
            Perplexity? reference = null;
            foreach (CacheOptions cache in group.Prepend(full).Distinct())
            {
                step($"perplexity of {cache.Policy}");
                // Texts side by side would each copy their channels, which changes no bit.
                CacheOptions scored = cache with { Channels = cache.Channels is { } channels ? channels with { Copies = false } : null };
                Perplexity perplexity = Perplexity.Measure(executor, scored, text, promptTokens, () => { }, stop);
                results[cache] = new PerplexityChange(perplexity, reference ??= perplexity);
            }
        }

        return results;
    }
}
