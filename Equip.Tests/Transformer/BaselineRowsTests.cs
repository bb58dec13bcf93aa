using Equip.Kernels.Dispatch;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Model;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Transformer;

/// <summary>
/// The baselines where several threads share the many rows of a head: every update gives what the in-place form gives.
/// </summary>
internal sealed class BaselineRowsTests
{
    private const int Budget = 200, Threads = 4;

    private static readonly Lazy<TinyModel> _folder = new(() => new TinyModel(new TinyModelOptions()));
    private static readonly Lazy<LanguageModel> _model = new(() => LanguageModel.Load(_folder.Value.Directory));

    [OneTimeTearDown]
    public void DeleteModel()
    {
        if (!_folder.IsValueCreated) return;
        _model.Value.Dispose();
        _folder.Value.Dispose();
    }

    [Test]
    public void Decode_RowsSharedByThreads_EqualsInPlace(
        [ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa,
        [Values("streaming", "h2o")] string policy,
        [Values(PositionScheme.Cache, PositionScheme.Original)] PositionScheme positions)
    {
        // Few heavy tokens: where many scores are nearly equal, rounding decides which one goes.

        using CpuExecutor executor = new(_model.Value, Contexts.For(isa, Threads));
        CacheOptions options = new() { Policy = policy, Budget = Budget, Recent = Budget - 3, Positions = positions, KvType = DataType.F32 };
        float[] expected = Decode(executor, options);
        foreach (CacheUpdate update in Enum.GetValues<CacheUpdate>().Where(update => update != CacheUpdate.InPlace))
            TestData.AssertClose(Decode(executor, options with { Update = update }), Array.ConvertAll(expected, value => (double)value), 1e-4, 1e-5, update.ToString());
    }

    [Test]
    public void FillRandom_UpdatesThatStartFromRotatedKeys_GoOnAlike([Values("streaming", "h2o")] string policy)
    {
        using CpuExecutor executor = new(_model.Value, Contexts.For(IsaRegistry.Resolve(Isa.Auto), Threads));
        CacheOptions options = new() { Policy = policy, Budget = Budget, Positions = PositionScheme.Cache, KvType = DataType.F32 };
        float[] expected = AfterFill(executor, options);
        Assert.That(expected, Has.Some.Not.Zero);
        foreach (CacheUpdate update in new[] { CacheUpdate.Memmove, CacheUpdate.FusedShift, CacheUpdate.RingRotate })
            TestData.AssertClose(AfterFill(executor, options with { Update = update }), Array.ConvertAll(expected, value => (double)value), 1e-4, 1e-5, update.ToString());
    }

    [Test]
    public void FillRandom_FullInPages_HoldsEveryToken()
    {
        using CpuExecutor executor = new(_model.Value, Contexts.For(IsaRegistry.Resolve(Isa.Auto)));
        using Sequence sequence = executor.CreateSequence(new CacheOptions { PageTokens = 16, KvType = DataType.BF16 });
        executor.FillRandom(sequence, 100, 1);
        Assert.That((sequence.Tokens, sequence.LiveTokens), Is.EqualTo((100, 100.0)));
        Assert.That(() => executor.FillRandom(sequence, 100, 1), Throws.ArgumentException.With.Message.Contains("has seen 100 tokens"));
        using Sequence prompt = executor.CreateSequence(new CacheOptions { Policy = "snapkv", Budget = 64 });
        Assert.That(() => executor.FillRandom(prompt, 100, 1), Throws.ArgumentException.With.Message.Contains("snapkv"));
    }

    private static float[] Decode(CpuExecutor executor, CacheOptions options)
    {
        using Sequence sequence = executor.CreateSequence(options);
        return Continue(executor, sequence, Budget + 60);
    }

    private static float[] AfterFill(CpuExecutor executor, CacheOptions options)
    {
        using Sequence sequence = executor.CreateSequence(options);
        executor.FillRandom(sequence, 3 * Budget, 7);
        Assert.That(sequence.LiveTokens, Is.EqualTo(Budget));
        return Continue(executor, sequence, 3);
    }

    private static float[] Continue(CpuExecutor executor, Sequence sequence, int steps)
    {
        Random random = new(TestData.Seed);
        float[] logits = new float[_model.Value.Config.VocabularySize];
        for (int i = 0; i < steps; i++) executor.Decode([sequence], [random.Next(2, 258)], logits);
        return logits;
    }
}
