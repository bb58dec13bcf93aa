using Equip.Kernels.Dispatch;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Model;
using Equip.Model.Config;
using Equip.Model.Pruning;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Pruning;

internal sealed class TokenFilterTests
{
    [Test]
    public void Decode_NothingFiltered_SameBitsAsWithoutFilter([Values("full", "streaming", "h2o")] string policy)
    {
        // A ratio of 0 is no filter; a filter that is warming up measures, and changes nothing.
        CacheOptions options = new() { Policy = policy, Budget = 24 };
        float[] without = Decode(options, out _);
        Assert.That(Decode(options with { Filter = new TokenFilterOptions() }, out _), Is.EqualTo(without));
        Assert.That(Decode(options with { Filter = new TokenFilterOptions { Ratio = 0.5, WarmUpTokens = 100 } }, out _), Is.EqualTo(without));
        Assert.That(Decode(options with { Filter = new TokenFilterOptions { Ratio = 0.5, WarmUpTokens = 40 } }, out FilterStatistics filtered), Is.Not.EqualTo(without));
        Assert.That(filtered.Decided, Is.EqualTo(20 * Golden.Model.Config.Layers));
    }

    [Test]
    public void Decode_SecondRunAfterReset_SameBits()
    {
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        using Sequence sequence = executor.CreateSequence(new CacheOptions { Filter = new TokenFilterOptions { Ratio = 0.5, Appends = false, WarmUpTokens = 16 } });
        float[] first = Run(executor, sequence, 40, 60);
        sequence.Reset();
        Assert.That(Run(executor, sequence, 40, 60), Is.EqualTo(first));
    }

    [Test]
    public void Decode_Batch_EachAsAlone([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [Values] bool appends)
    {
        // Random decisions do not depend on the last bit, in which a batch may differ. All, some and none of the sequences skip a layer.
        TokenFilterOptions filter = new() { Ratio = 0.6, Rule = FilterRule.Random, Appends = appends, WarmUpTokens = 16, Schedule = FilterSchedule.Tail };
        CacheOptions[] options =
        [
            new() { Filter = filter },
            new() { Policy = "streaming", Budget = 24, Filter = filter with { WarmUpTokens = 40 } },
            new() { Policy = "h2o", Budget = 16, Filter = filter with { Ratio = 0.3 } },
            new() { Policy = "tova", Budget = 16 },
        ];
        using CpuExecutor executor = new(Golden.Model, Contexts.For(isa));
        Sequence[] together = [.. options.Select(option => executor.CreateSequence(option with { KvType = DataType.F32 }))];
        int vocabulary = Golden.Model.Config.VocabularySize;
        float[] logits = new float[options.Length * vocabulary];
        for (int i = 0; i < together.Length; i++) executor.Prefill(together[i], Tokens(20 + (3 * i)), []);
        for (int step = 0; step < 40; step++) executor.Decode(together, [.. together.Select(sequence => Token(sequence.Tokens))], logits);
        for (int i = 0; i < together.Length; i++)
        {
            using Sequence alone = executor.CreateSequence(options[i] with { KvType = DataType.F32 });
            float[] expected = Run(executor, alone, 20 + (3 * i), 40);
            TestData.AssertClose(logits.AsSpan(i * vocabulary, vocabulary), Array.ConvertAll(expected, v => (double)v), 1e-3, 1e-3, $"sequence {i}");
            Assert.That(together[i].LiveTokens, Is.EqualTo(alone.LiveTokens));
            together[i].Dispose();
        }
    }

    [TestCase(0.1, "uniform")]
    [TestCase(0.3, "tail")]
    [TestCase(0.5, "uniform")]
    [TestCase(0.5, "tail")]
    public void Decode_64TokensOfRandomWeights_EveryLayerMeetsItsRateWithinTwoPoints(double ratio, string schedule)
    {
        (double[] held, double[] rates) = RatesOf64Tokens(ratio, schedule, holds: true);
        Assert.That(held, Is.EqualTo(rates).Within(0.02 + 1e-9));
        (double[] free, _) = RatesOf64Tokens(ratio, schedule, holds: false);
        Assert.That(free, Is.Not.EqualTo(rates).Within(0.02 + 1e-9));
    }

    private static (double[] Filtered, double[] Rates) RatesOf64Tokens(double ratio, string schedule, bool holds)
    {
        // Layers behind those that filter see other tokens than in the prompt: the first thresholds are far off.
        FilterSchedule shares = schedule == "tail" ? FilterSchedule.Tail : FilterSchedule.Uniform;
        using LanguageModel model = LanguageModel.CreateSynthetic(ModelShape.Parse("64x6x4x2x96"), DataType.F32);
        using CpuExecutor executor = new(model, Contexts.For(Isa.Auto));
        using Sequence sequence = executor.CreateSequence(new CacheOptions
        {
            Policy = "streaming",
            Budget = 64,
            Filter = new TokenFilterOptions { Ratio = ratio, Schedule = shares, HoldsShare = holds },
        });
        float[] logits = new float[model.Config.VocabularySize];
        Random random = new(7);
        executor.Prefill(sequence, [.. Enumerable.Range(0, 256).Select(_ => random.Next(model.Config.VocabularySize))], []);
        for (int i = 0; i < 64; i++) executor.Decode([sequence], [random.Next(model.Config.VocabularySize)], logits);
        return ([.. executor.Filtered.RatioByLayer], [.. shares.Rates(model.Config.Layers, ratio)]);
    }

    [Test]
    public void Traffic_Filtered_LeavesOutQueryOutputAndCache()
    {
        ModelConfig config = Golden.Model.Config;
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        using Sequence sequence = executor.CreateSequence(new CacheOptions { Filter = new TokenFilterOptions { Ratio = 0.5, Rule = FilterRule.Random, WarmUpTokens = 16 } });
        float[] logits = new float[config.VocabularySize];
        executor.Prefill(sequence, Tokens(100), []);
        for (int step = 0; step < 20; step++)
        {
            StepTraffic before = executor.Traffic;
            executor.Decode([sequence], [Token(step)], logits);
            StepTraffic made = executor.Traffic.Since(before);
            int skipped = Enumerable.Range(0, config.Layers).Count(layer => sequence.Filter!.Skipped(layer));
            long layerBytes = (2L * config.Heads * config.HeadDim * config.HiddenSize * sizeof(ushort)) + (2L * sequence.Tokens * config.KvHeads * config.HeadDim * sizeof(ushort));
            Assert.That(made.DenseBytes, Is.EqualTo(Golden.Model.WeightBytes + (2L * config.Layers * sequence.Tokens * config.KvHeads * config.HeadDim * sizeof(ushort))));
            Assert.That(made.DenseBytes - made.Bytes, Is.EqualTo(skipped * layerBytes));
        }
    }

    [Test]
    public void Prefill_FirstHeldoutWindow_SimilaritiesAndThresholdsOfTheReference()
    {
        // Values of an independent PyTorch implementation: window 0 of the held-out text, 0.3 over a tail schedule, gamma 0.9.
        TokenFilterOptions filter = new() { Ratio = 0.3, Schedule = FilterSchedule.Tail, Gamma = 0.9 };
        string text = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "EvalData", "heldout.txt"));
        int[] ids = [Golden.Model.Generation.BosTokenId!.Value, .. Golden.Model.Tokenizer!.Encode(text[..8000], addSpecialTokens: false)];
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        using Sequence sequence = executor.CreateSequence(new CacheOptions { KvType = DataType.F32, Filter = filter });
        executor.Prefill(sequence, ids.AsSpan(0, 512), []);
        executor.Decode([sequence], [ids[512]], new float[Golden.Model.Config.VocabularySize]);
        foreach ((int layer, double rate, double start, double step, double similarity) in new[]
        {
            (4, 0.3428571428571428, 0.8713357448577881, 0.01077922210097313, 0.6572544),
            (7, 0.6, 0.48881545662879944, 0.009872832894325258, 0.4657333),
        })
        {
            Assert.That(executor.Filtered.SimilarityByLayer[layer], Is.EqualTo(similarity).Within(1e-4));
            Assert.That(sequence.Filter!.Threshold(layer), Is.EqualTo(start - (step * rate)).Within(1e-4), "the token was below it");
        }
    }

    [TestCase(1.0, 0.99, 0.05, 128, "filter: got 1,")]
    [TestCase(double.NaN, 0.99, 0.05, 128, "filter: got NaN")]
    [TestCase(0.5, 1.0, 0.05, 128, "filter gamma: got 1,")]
    [TestCase(0.5, 0.9, 0.0, 128, "filter eta: got 0,")]
    [TestCase(0.5, 0.9, 0.05, 3, "filter warm-up: got 3, expected at least 16")]
    public void CreateSequence_BadFilter_SaysWhatWasExpected(double ratio, double gamma, double eta, int warmUp, string message)
    {
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Scalar));
        TokenFilterOptions filter = new() { Ratio = ratio, Gamma = gamma, Eta = eta, WarmUpTokens = warmUp };
        Assert.That(() => executor.CreateSequence(new CacheOptions { Filter = filter }), Throws.ArgumentException.With.Message.Contains(message));
    }

    [Test]
    public void CreateSequence_LeavesOutUnderABaseline_IsRefused()
    {
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Scalar));
        CacheOptions options = new() { Policy = "streaming", Budget = 64, Update = CacheUpdate.Functional, Filter = new TokenFilterOptions { Ratio = 0.5, Appends = false } };
        Assert.That(() => executor.CreateSequence(options), Throws.ArgumentException.With.Message.Contains("InPlace"));
    }

    private static float[] Decode(CacheOptions options, out FilterStatistics filtered)
    {
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        using Sequence sequence = executor.CreateSequence(options);
        float[] logits = Run(executor, sequence, 30, 30);
        filtered = executor.Filtered;
        return logits;
    }

    private static float[] Run(CpuExecutor executor, Sequence sequence, int prompt, int steps)
    {
        float[] logits = new float[executor.Model.Config.VocabularySize];
        executor.Prefill(sequence, Tokens(prompt), []);
        for (int step = 0; step < steps; step++) executor.Decode([sequence], [Token(sequence.Tokens)], logits);
        return logits;
    }

    private static int[] Tokens(int count) => [.. Enumerable.Range(0, count).Select(Token)];

    private static int Token(int position) => position == 0 ? 0 : 5 + (position * 37 % 900);
}
