using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.Numerics;
using Equip.Model;
using Equip.Model.Config;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Eviction;

/// <summary>Random policies, shapes, budgets, prompts and tails: what a policy promises holds for all of them.</summary>
internal sealed class PolicyPropertyTests
{
    private static readonly string[] _shapes = ["32x1x1x1x32", "32x3x2x1x48", "64x2x4x2x64", "96x2x6x3x64", "64x5x4x4x32"];

    [Test]
    public void Decode_RandomSettings_NeverExceedsTheBudget([Range(1, 60)] int seed)
    {
        Random random = new(seed);
        using LanguageModel model = LanguageModel.CreateSynthetic(ModelShape.Parse(_shapes[random.Next(_shapes.Length)]), DataType.F32);
        using CpuExecutor executor = new(model, Contexts.For(Isa.Auto));
        CacheOptions options = Draw(random);
        using Sequence sequence = executor.CreateSequence(options);
        int heads = model.Config.Layers * model.Config.KvHeads, seen = 0, allowed = options.Budget * heads;
        float[] logits = new float[model.Config.VocabularySize];
        for (int prompt = 0; prompt < 2; prompt++)
        {
            int tokens = random.Next(1, 3 * options.Budget);

            // A prompt behind heads of different counts is decoded, token by token.
            if (prompt > 0 && sequence.Policy.Scoring is { Then: DecodeTail.Grow } && IsRagged(sequence)) allowed = PromptFixture.Live(sequence.Cache).Sum(rows => rows.Length) + (heads * tokens);
            executor.Prefill(sequence, Tokens(random, model, tokens), logits);
            seen += tokens;
            AssertCache(sequence, seen, allowed, options, heads);
            for (int step = 0; step < random.Next(1, options.Budget); step++)
            {
                executor.Decode([sequence], Tokens(random, model, 1), logits);
                seen++;

                // These add tokens after the prompt, as their papers do.
                if (sequence.Policy.Scoring is { Then: DecodeTail.Grow }) allowed += heads;
                AssertCache(sequence, seen, allowed, options, heads);
            }

            allowed = options.Budget * heads;
        }

        Assert.That(logits, Has.All.Matches<float>(float.IsFinite));
    }

    private static bool IsRagged(Sequence sequence) =>
        Enumerable.Range(0, sequence.Cache.Layers).Any(layer => sequence.Cache.Layer(layer).ToArray().Select(head => head.Count).Distinct().Count() > 1);

    /// <summary>Settings that fit each other; sometimes a budget that leaves a single row to choose.</summary>
    private static CacheOptions Draw(Random random)
    {
        string[] names = [.. PromptFixture.Lossy];
        int window = random.Next(1, 24), sinks = random.Next(0, 5);
        CacheOptions options = new()
        {
            Policy = names[random.Next(names.Length)],
            Window = window,
            Sinks = sinks,
            Recent = random.Next(2) * random.Next(1, 6),
            Budget = Math.Max(16 + window + 1, sinks + 7) + random.Next(0, 40),
            PoolKernel = (2 * random.Next(0, 12)) + 1,
            PoolMode = (PoolMode)random.Next(3),
            Reduction = (ColumnReduction)random.Next(5),
            Allocation = (Allocation)random.Next(5),
            Reading = (ScoreReading)random.Next(11),
            Then = (DecodeTail)random.Next(4),
            PageTokens = random.Next(3) * 8,
            KvType = random.Next(2) == 0 ? DataType.F32 : DataType.F16,
        };
        return options;
    }

    private static void AssertCache(Sequence sequence, int seen, int allowed, CacheOptions options, int heads)
    {
        int[][] live = PromptFixture.Live(sequence.Cache);
        string what = $"{options} after {seen} tokens";
        foreach (int[] rows in live)
        {
            Assert.That(rows, Is.Unique, what);
            Assert.That(rows, Has.All.InRange(0, seen - 1), what);
            Assert.That(rows, Is.Not.Empty, what);
        }

        // H2O and TOVA hold the new token besides, as in their papers: it attends before the eviction.
        int besides = sequence.Policy.CapacityTokens > options.Budget ? heads : 0;
        Assert.That(live.Sum(rows => rows.Length), Is.LessThanOrEqualTo(allowed + besides), what);
        long pages = live.Sum(rows => (rows.Length + sequence.Options.PageTokens - 1L) / sequence.Options.PageTokens);
        // A page whose rows all went is kept: it is the next one that is written, once the newest page is full.
        long kept = sequence.Policy.Scoring is { Then: DecodeTail.Pages } ? EmptyPages(sequence) : 0;
        Assert.That(kept, Is.LessThanOrEqualTo(live.Length), what);
        pages += kept;
        int headDim = sequence.Owner.Model.Config.HeadDim;
        Assert.That(sequence.KvBytes, Is.EqualTo(pages * sequence.Options.PageTokens * 2 * headDim * options.KvType.Size()), what);
    }

    private static long EmptyPages(Sequence sequence) =>
        Enumerable.Range(0, sequence.Cache.Layers).Sum(layer => sequence.Cache.Layer(layer).ToArray().Sum(head => Enumerable.Range(0, head.PageCount).Count(page => head.LiveInPage(page) == 0)));

    private static int[] Tokens(Random random, LanguageModel model, int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(model.Config.VocabularySize))];
}
