using Equip.Bench.Eval;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Eviction;

/// <summary>The first passkey case of the default model, whose reference values are in Fixtures/eviction.json.</summary>
internal static class PromptFixture
{
    private static readonly Lazy<RetrievalCase> _case = new(() => RetrievalCase.Read(Golden.Model, EvalData.PathOf(EvalData.Passkey), 1)[0]);

    public static RetrievalCase Passkey => _case.Value;

    /// <summary>The policies that lose tokens.</summary>
    public static IEnumerable<string> Lossy => EvictionPolicies.All.Where(info => info.Lossy).Select(info => info.Name);

    /// <summary>A prompt of bos and different tokens (up to 900).</summary>
    public static int[] Distinct(int tokens) => [.. Enumerable.Range(0, tokens).Select(i => i == 0 ? 0 : 5 + (i * 37 % 900))];

    /// <summary>The positions that a policy keeps of a prompt, by layer and KV head, ascending.</summary>
    public static int[][] Kept(CacheOptions options, int[] prompt)
    {
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        using Sequence sequence = executor.CreateSequence(options with { KvType = DataType.F32 });
        executor.Prefill(sequence, prompt, Span<float>.Empty);
        return Live(sequence.Cache);
    }

    /// <summary>The positions of a cache's live rows, by layer and KV head, ascending.</summary>
    public static int[][] Live(SequenceCache cache)
    {
        List<int[]> heads = [];
        for (int layer = 0; layer < cache.Layers; layer++)
        {
            foreach (HeadCache head in cache.Layer(layer))
            {
                List<int> live = [];
                for (int page = 0; page < head.PageCount; page++)
                    for (int row = 0; row < head.LiveInPage(page); row++) live.Add(head.Positions[(page * head.PageTokens) + row]);
                heads.Add([.. live.Order()]);
            }
        }

        return [.. heads];
    }

    /// <summary>Runs a prompt, handing every layer to <paramref name="look"/> before all its rows are kept.</summary>
    public static void Look(int[] prompt, Action<PromptLayer> look, bool unrotated = false)
    {
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        using Sequence plain = executor.CreateSequence(new CacheOptions { KvType = DataType.F32 });
        using Sequence sequence = new(executor, plain.Options, plain.Cache, plain.Strategy, () => new Looker(look, unrotated), () => null, () => null);
        executor.Prefill(sequence, prompt, Span<float>.Empty);
    }

    private sealed class Looker(Action<PromptLayer> look, bool unrotated) : IEvictionPolicy
    {
        public PolicyInfo Info => FullPolicy.Description;

        public int CapacityTokens => 0;

        public int PromptQueryTokens => int.MaxValue;

        public bool WantsColumnSums => true;

        public bool WantsUnrotatedQueries => unrotated;

        public void AfterPromptLayer(PromptLayer prompt, SequenceCache cache)
        {
            look(prompt);
            prompt.Append();
        }

        public void ChooseSlots(ReadOnlySpan<HeadCache> heads, int position, Span<int> slots) => throw new NotSupportedException("prompts only");
    }
}
