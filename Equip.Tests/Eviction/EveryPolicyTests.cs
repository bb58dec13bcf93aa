using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Eviction;

/// <summary>What holds for every row of <see cref="EvictionPolicies"/>; a new policy is in by its line there.</summary>
internal sealed class EveryPolicyTests
{
    private const int Rows = 150, Budget = 48;

    private static readonly int[] _prompt = PromptFixture.Distinct(Rows);

    private static IEnumerable<string> Lossy => PromptFixture.Lossy;

    private static IEnumerable<string> Scored => Lossy.Where(name => EvictionPolicies.Create(name, new PolicyOptions()).Scoring is not null);

    [Test]
    public void Prefill_LongPrompt_KeepsTheBudgetInWholePages([ValueSource(nameof(Lossy))] string policy, [Values(0, 16)] int page)
    {
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        using Sequence sequence = executor.CreateSequence(Options(policy) with { PageTokens = page });
        executor.Prefill(sequence, _prompt, Span<float>.Empty);
        int[][] live = PromptFixture.Live(sequence.Cache);
        Assert.That(sequence.LiveTokens, Is.EqualTo(Budget));
        AssertDistinct(live, Rows);
        int tokens = sequence.Options.PageTokens;
        long pages = live.Sum(rows => (rows.Length + tokens - 1L) / tokens);
        Assert.That(sequence.KvBytes, Is.EqualTo(pages * tokens * 2 * Golden.Model.Config.HeadDim * sizeof(float)));
        sequence.Reset();
        Assert.That(sequence.KvBytes, Is.Zero);
    }

    [Test]
    public void Prefill_PromptWithinBudget_KeepsAll([ValueSource(nameof(Lossy))] string policy, [Values(1, Budget - 1, Budget)] int tokens)
    {
        int[][] live = PromptFixture.Kept(Options(policy), _prompt[..tokens]);
        Assert.That(live, Has.All.EqualTo(Enumerable.Range(0, tokens)));
    }

    [Test]
    public void Prefill_SecondPrompt_StaysInTheBudget([ValueSource(nameof(Scored))] string policy, [Values(3, 60)] int second)
    {
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        using Sequence sequence = executor.CreateSequence(Options(policy) with { Then = DecodeTail.Streaming });
        executor.Prefill(sequence, _prompt.AsSpan(0, 80), Span<float>.Empty);
        executor.Prefill(sequence, _prompt.AsSpan(80, second), Span<float>.Empty);

        // A layer of pyramidkv's that held few rows has no more to choose from.
        Assert.That(sequence.LiveTokens, policy == "pyramidkv" ? Is.LessThanOrEqualTo(Budget) : Is.EqualTo(Budget));
        AssertDistinct(PromptFixture.Live(sequence.Cache), 80 + second);
    }

    [Test]
    public void Prefill_TheSameTokenThroughout_TiesGoToTheLowerRow([ValueSource(nameof(Scored))] string policy)
    {
        // Every score of layer 0 that does not look at positions ties; the choice must still be whole and the same twice.
        int[] same = [.. Enumerable.Repeat(17, Rows)];
        int[][] live = PromptFixture.Kept(Options(policy), same);
        Assert.That(live.Sum(rows => rows.Length), Is.EqualTo(Budget * live.Length));
        Assert.That(PromptFixture.Kept(Options(policy), same), Is.EqualTo(live));
    }

    [Test]
    public void Prefill_NaNWeights_KeepsTheBudget([ValueSource(nameof(Lossy))] string policy)
    {
        // NaN keys and values of some rows: their scores are NaN, and those of all rows where a softmax sees them.
        using PagePool pool = new(16, Golden.Model.Config.HeadDim, DataType.F32);
        using SequenceCache cache = new(pool, Golden.Model.Config.Layers, Golden.Model.Config.KvHeads);
        IEvictionPolicy tested = EvictionPolicies.Create(policy, Options(policy).ForPolicy());
        PromptFixture.Look(
            _prompt,
            prompt =>
            {
                PromptLayer broken = BrokenLayer.Of(prompt, cache, Math.Min(tested.PromptQueryTokens, prompt.Rows), row => row % 7 == 3);
                tested.AfterPromptLayer(broken, cache);
            },
            tested.WantsUnrotatedQueries);
        Assert.That(cache.MeanCount, Is.EqualTo(Budget));
    }

    [Test]
    public void Decode_Tails_NeverExceedWhatThePromptLeft([ValueSource(nameof(Scored))] string policy, [Values(DecodeTail.Streaming, DecodeTail.H2O)] DecodeTail then, [Values(20, Rows)] int prompt)
    {
        const int Steps = 40;
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        using Sequence sequence = executor.CreateSequence(Options(policy) with { Then = then });
        executor.Prefill(sequence, _prompt.AsSpan(0, prompt), Span<float>.Empty);
        float[] logits = new float[Golden.Model.Config.VocabularySize];
        int[][] before = PromptFixture.Live(sequence.Cache);
        for (int step = 0; step < Steps; step++) executor.Decode([sequence], [_prompt[step + 1]], logits);
        int[][] live = PromptFixture.Live(sequence.Cache);
        Assert.That(live.Select(rows => rows.Length), Is.EqualTo(prompt > Budget ? before.Select(rows => rows.Length) : Enumerable.Repeat(Budget, before.Length)));
        AssertDistinct(live, prompt + Steps);
        foreach ((int[] rows, int[] old) in live.Zip(before))
        {
            Assert.That(rows[^1], Is.EqualTo(prompt + Steps - 1));
            int[] ring = [.. rows.Where(row => row >= 4)];
            if (then == DecodeTail.Streaming) Assert.That(ring, Is.EqualTo(old.Where(row => row >= 4).Concat(Enumerable.Range(prompt, Steps)).TakeLast(ring.Length)));
        }

        Assert.That(logits, Has.All.Matches<float>(float.IsFinite));
    }

    [Test]
    public void Decode_Grow_AddsToWhatThePromptLeft([ValueSource(nameof(Scored))] string policy)
    {
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        using Sequence sequence = executor.CreateSequence(Options(policy) with { Then = DecodeTail.Grow });
        executor.Prefill(sequence, _prompt, Span<float>.Empty);
        int[][] before = PromptFixture.Live(sequence.Cache);
        float[] logits = new float[Golden.Model.Config.VocabularySize];
        for (int step = 0; step < 5; step++) executor.Decode([sequence], [_prompt[step + 1]], logits);
        Assert.That(PromptFixture.Live(sequence.Cache), Is.EqualTo(before.Select(rows => rows.Concat(Enumerable.Range(Rows, 5)))));
    }

    [Test]
    public void Prefill_2000TokensAtBudget64_HoldsUnderFivePercent()
    {
        const int Tokens = 2000;
        int[] prompt = [.. PromptFixture.Passkey.Prompt, .. PromptFixture.Passkey.Prompt[1..(Tokens - 1800 + 1)]];
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        Sequence[] sequences = [.. Lossy.Select(policy => executor.CreateSequence(new CacheOptions { Policy = policy, Budget = 64 })).Where(sequence => sequence.SharesPrompts)];
        executor.Prefill(sequences, prompt, Span<float>.Empty);
        long full = (long)Tokens * 2 * 2 * Golden.Model.Config.Layers * Golden.Model.Config.KvHeads * Golden.Model.Config.HeadDim;
        foreach (Sequence sequence in sequences)
        {
            Assert.That(sequence.LiveTokens, Is.EqualTo(64), sequence.Options.Policy);
            Assert.That(sequence.KvBytes, Is.LessThan(0.05 * full), sequence.Options.Policy);
            sequence.Dispose();
        }

        Assert.That(sequences, Has.Length.EqualTo(Lossy.Count() - 1));
    }

    [TestCase(32, 0, 7)]
    [TestCase(40, 40, 7)]
    [TestCase(64, -1, 7)]
    [TestCase(64, 32, 6)]
    [TestCase(64, 32, -1)]
    [TestCase(64, 32, 65)]
    [TestCase(-5, 0, 7)]
    public void Create_WrongParameter_NamesTheRange(int budget, int window, int kernel)
        => Assert.That(() => EvictionPolicies.Create("laprox", new PolicyOptions { BudgetTokens = budget, WindowTokens = window, PoolKernel = kernel }), Throws.InstanceOf<ArgumentException>().With.Message.Contains("expected"));

    [TestCase("streaming", 4, 0, "budget")]
    [TestCase("h2o", 0, 65, "recent")]
    [TestCase("random", 63, 1, "budget")]
    [TestCase("adakv", -1, 0, "sinks")]
    [TestCase("expected", 0, -1, "recent")]
    public void Create_SinksOrRecentBeyondTheBudget_AreRefused(string policy, int sinks, int recent, string name)
        => Assert.That(
            () => EvictionPolicies.Create(policy, new PolicyOptions { BudgetTokens = policy == "streaming" ? 4 : 64, SinkTokens = sinks, RecentTokens = recent }),
            Throws.InstanceOf<ArgumentException>().With.Message.Contains(name).And.Message.Contains("expected"));

    [TestCase(DecodeTail.Streaming, 48, 0)]
    [TestCase(DecodeTail.H2O, 4, 49)]
    [TestCase(DecodeTail.Pages, 4, 0)]
    [TestCase((DecodeTail)5, 4, 0)]
    public void Create_TailThatDoesNotFit_IsRefused(DecodeTail then, int sinks, int recent)
        => Assert.That(() => EvictionPolicies.Create("snapkv", new PolicyOptions { BudgetTokens = Budget, SinkTokens = sinks, RecentTokens = recent, Then = then }), Throws.InstanceOf<ArgumentException>());

    private static void AssertDistinct(int[][] live, int end)
    {
        foreach (int[] rows in live)
        {
            Assert.That(rows, Is.Unique);
            Assert.That(rows, Has.All.InRange(0, end - 1));
        }
    }

    private static CacheOptions Options(string policy) => new() { Policy = policy, Budget = Budget, KvType = DataType.F32 };
}
