using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Eviction;

/// <summary>A prompt in parts, and a prompt that several sequences share: each policy keeps what it keeps of the prompt alone in one piece.</summary>
internal sealed class PromptPartsTests
{
    private const int Rows = 150, Budget = 48;

    private static readonly int[] _prompt = PromptFixture.Distinct(Rows);

    private static IEnumerable<string> Lossy => PromptFixture.Lossy;

    [Test]
    public void Prefill_Parts_KeepWhatTheWholeKeeps([ValueSource(nameof(Lossy))] string policy, [Values(7, 40, 149)] int part)
    {
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        using Sequence whole = executor.CreateSequence(Options(policy)), parts = executor.CreateSequence(Options(policy));
        float[] expected = new float[Golden.Model.Config.VocabularySize], logits = new float[expected.Length];
        executor.Prefill(whole, _prompt, expected);
        for (int first = 0; first < Rows; first += part)
        {
            int count = Math.Min(part, Rows - first);
            executor.Prefill(parts, _prompt.AsSpan(first, count), logits, final: first + count == Rows);
        }

        AssertSame(executor, whole, parts, expected, logits);
    }

    [Test]
    public void Prefill_PartsOfASecondPrompt_KeepWhatTheWholeKeeps([Values("snapkv", "h2o", "expected", "tova", "streaming")] string policy)
    {
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        using Sequence whole = executor.CreateSequence(Options(policy)), parts = executor.CreateSequence(Options(policy));
        float[] expected = new float[Golden.Model.Config.VocabularySize], logits = new float[expected.Length];
        foreach (Sequence sequence in new[] { whole, parts }) executor.Prefill(sequence, _prompt.AsSpan(0, 70), Span<float>.Empty);
        executor.Prefill(whole, _prompt.AsSpan(70), expected);
        executor.Prefill(parts, _prompt.AsSpan(70, 3), Span<float>.Empty, final: false);
        executor.Prefill(parts, _prompt.AsSpan(73, 50), Span<float>.Empty, final: false);
        executor.Prefill(parts, _prompt.AsSpan(123), logits);
        AssertSame(executor, whole, parts, expected, logits);
    }

    [Test]
    public void Prefill_UnfinishedPrompt_HoldsAllAndDoesNotDecode([Values("laprox", "h2o")] string policy)
    {
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        using Sequence sequence = executor.CreateSequence(Options(policy));
        executor.Prefill(sequence, _prompt.AsSpan(0, 100), Span<float>.Empty, final: false);
        Assert.That(sequence.LiveTokens, Is.EqualTo(100));
        float[] logits = new float[Golden.Model.Config.VocabularySize];
        Assert.That(() => executor.Decode([sequence], [1], logits), Throws.InvalidOperationException.With.Message.Contains("unfinished"));
        sequence.Reset();
        executor.Prefill(sequence, _prompt.AsSpan(0, 100), Span<float>.Empty);
        Assert.That(sequence.LiveTokens, Is.EqualTo(Budget));
    }

    [Test]
    public void Prefill_PartsWithUnrotatedKeys_AreRefused()
    {
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        using Sequence sequence = executor.CreateSequence(Options("streaming") with { Update = CacheUpdate.Functional });
        Assert.That(sequence.TakesParts, Is.False);
        Assert.That(() => executor.Prefill(sequence, _prompt, Span<float>.Empty, final: false), Throws.ArgumentException.With.Message.Contains("final"));
        executor.Prefill(sequence, _prompt, Span<float>.Empty);
    }

    [Test]
    public void Prefill_SharedPrompt_KeepsWhatEachKeepsAlone()
    {
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        CacheOptions[] caches = [.. EvictionPolicies.Names.Where(name => name != "streaming").Select(name => Options(name))];
        Sequence[] together = [.. caches.Select(executor.CreateSequence)], alone = [.. caches.Select(executor.CreateSequence)];
        float[] expected = new float[Golden.Model.Config.VocabularySize], logits = new float[expected.Length];
        executor.Prefill(together, _prompt, logits);
        for (int i = 0; i < caches.Length; i++)
        {
            executor.Prefill(alone[i], _prompt, expected);
            Assert.That(logits, Is.EqualTo(expected));
            Assert.That(PromptFixture.Live(together[i].Cache), Is.EqualTo(PromptFixture.Live(alone[i].Cache)), caches[i].Policy);
        }

        float[] more = new float[expected.Length * caches.Length];
        executor.Decode(together, [.. caches.Select(_ => 9)], more);
        for (int i = 0; i < caches.Length; i++)
        {
            executor.Decode([alone[i]], [9], expected);
            TestData.AssertClose(more.AsSpan(i * expected.Length, expected.Length), [.. expected.Select(logit => (double)logit)], 1e-4, 1e-4);
        }

        foreach (Sequence sequence in together.Concat(alone)) sequence.Dispose();
    }

    [Test]
    public void Prefill_SequencesThatCannotShare_AreRefused()
    {
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        using Sequence full = executor.CreateSequence(Options("full")), streaming = executor.CreateSequence(Options("streaming")), narrow = executor.CreateSequence(Options("h2o") with { KvType = DataType.F16 });
        Assert.That(() => executor.Prefill([full, streaming], _prompt, Span<float>.Empty), Throws.ArgumentException.With.Message.Contains("streaming"));
        Assert.That(() => executor.Prefill([full, narrow], _prompt, Span<float>.Empty), Throws.ArgumentException.With.Message.Contains("KV types"));
        Assert.That(() => executor.Prefill([full, full], _prompt, Span<float>.Empty), Throws.ArgumentException.With.Message.Contains("the same"));
        Assert.That(() => executor.Prefill([], _prompt, Span<float>.Empty), Throws.ArgumentException);
        executor.Prefill(full, _prompt, Span<float>.Empty);
        using Sequence empty = executor.CreateSequence(Options("snapkv"));
        Assert.That(() => executor.Prefill([empty, full], _prompt, Span<float>.Empty), Throws.ArgumentException.With.Message.Contains("150 tokens"));
        Assert.That(empty.Tokens, Is.Zero);
    }

    private static void AssertSame(CpuExecutor executor, Sequence whole, Sequence parts, float[] expected, float[] logits)
    {
        double[] Wide() => [.. expected.Select(logit => (double)logit)];
        TestData.AssertClose(logits, Wide(), 2e-4, 2e-4);
        Assert.That(PromptFixture.Live(parts.Cache), Is.EqualTo(PromptFixture.Live(whole.Cache)));
        Assert.That(parts.KvBytes, Is.EqualTo(whole.KvBytes));
        for (int step = 0; step < 3; step++)
        {
            executor.Decode([whole], [20 + step], expected);
            executor.Decode([parts], [20 + step], logits);
            TestData.AssertClose(logits, Wide(), 2e-4, 2e-4);
        }

        Assert.That(PromptFixture.Live(parts.Cache), Is.EqualTo(PromptFixture.Live(whole.Cache)));
    }

    private static CacheOptions Options(string policy) => new() { Policy = policy, Budget = Budget, KvType = DataType.F32 };
}
