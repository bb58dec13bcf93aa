using Equip.Kernels.Dispatch;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Model;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Transformer;

internal sealed class BatchDecodeTests
{
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
    public void Decode_SequencesOfDifferentLengthAndPolicy_EachAsAlone([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [Values] bool sixteenBit)
    {
        CacheOptions[] options =
        [
            new() { Policy = "full" },
            new() { Policy = "streaming", Budget = 16, Positions = PositionScheme.CacheTwoQuery },
            new() { Policy = "streaming", Budget = 24, PageTokens = 8, Positions = PositionScheme.Original },
            new() { Policy = "h2o", Budget = 12 },
            new() { Policy = "streaming", Budget = 16, Update = CacheUpdate.FunctionalRepeatKv },
            new() { Policy = "h2o", Budget = 12, PageTokens = 8, Positions = PositionScheme.CacheRotateOnRead },
            new() { Policy = "pagedeviction", Budget = 24, PageTokens = 4 },
        ];
        int[] prompts = [3, 40, 1, 33, 20, 25, 30];
        using CpuExecutor executor = new(_model.Value, Contexts.For(isa));
        int vocabulary = _model.Value.Config.VocabularySize, steps = 30;
        float[][] alone = new float[options.Length][];
        Sequence[] together = new Sequence[options.Length];
        for (int i = 0; i < options.Length; i++)
        {
            CacheOptions option = options[i] with { KvType = sixteenBit ? DataType.BF16 : DataType.F32 };
            using Sequence single = Start(executor, option, prompts[i]);
            alone[i] = new float[vocabulary];
            for (int step = 0; step < steps; step++) executor.Decode([single], [Token(i, step)], alone[i]);
            together[i] = Start(executor, option, prompts[i]);
        }

        float[] logits = new float[options.Length * vocabulary];
        int[] tokens = new int[options.Length];
        for (int step = 0; step < steps; step++)
        {
            for (int i = 0; i < tokens.Length; i++) tokens[i] = Token(i, step);
            executor.Decode(together, tokens, logits);
        }

        // A 16-bit key may round the other way where a projection's last bit differs between batch sizes.
        double tolerance = sixteenBit ? 2e-2 : 1e-4;
        for (int i = 0; i < options.Length; i++)
            TestData.AssertClose(logits.AsSpan(i * vocabulary, vocabulary), Array.ConvertAll(alone[i], v => (double)v), tolerance, tolerance, $"sequence {i}");
        foreach (Sequence sequence in together) sequence.Dispose();
    }

    [Test]
    public void Decode_BadArguments_ThrowAndLeaveTheSequence()
    {
        using CpuExecutor executor = new(_model.Value, Contexts.For(Isa.Scalar)), other = new(_model.Value, Contexts.For(Isa.Scalar));
        using Sequence sequence = executor.CreateSequence(new CacheOptions()), foreign = other.CreateSequence(new CacheOptions());
        float[] logits = new float[2 * _model.Value.Config.VocabularySize];
        executor.Decode([sequence], [5], logits);
        Assert.That(() => executor.Decode([sequence], [-1], logits), Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.Contains("token: got -1"));
        Assert.That(() => executor.Decode([sequence], [99999], logits), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => executor.Decode([sequence], [1, 2], logits), Throws.ArgumentException);
        Assert.That(() => executor.Decode([sequence, sequence], [1, 2], logits), Throws.ArgumentException.With.Message.Contains("same"));
        Assert.That(() => executor.Decode([sequence], [1], new float[3]), Throws.ArgumentException.With.Message.Contains("logits"));
        Assert.That(() => executor.Decode([foreign], [1], logits), Throws.ArgumentException.With.Message.Contains("another executor"));
        Assert.That(() => executor.Decode([], [], logits), Throws.ArgumentException);
        Assert.That(() => executor.Prefill(sequence, [], logits), Throws.ArgumentException);
        Assert.That(() => executor.CreateSequence(new CacheOptions { Policy = "streaming", Budget = 4, Sinks = 4 }), Throws.InstanceOf<ArgumentException>());
        Assert.That(() => executor.CreateSequence(new CacheOptions { KvType = DataType.Q8 }), Throws.ArgumentException);
        Assert.That(sequence.Tokens, Is.EqualTo(1));
        executor.Decode([sequence], [5], logits);
    }

    [Test]
    public void Decode_Warm_AllocatesNothing([Values("full", "streaming", "h2o", "tova", "random", "pagedeviction")] string policy, [Values(0, 16)] int page)
    {
        using CpuExecutor executor = new(_model.Value, Contexts.For(Isa.Auto));
        using Sequence sequence = executor.CreateSequence(new CacheOptions { Policy = policy, Budget = 48, PageTokens = page });
        float[] logits = new float[_model.Value.Config.VocabularySize];
        Sequence[] sequences = [sequence];
        int[] tokens = [7];
        int warm = policy == "full" ? 65 : 200;
        for (int i = 0; i < warm; i++) executor.Decode(sequences, tokens, logits);
        Allocations.AssertNone(() =>
        {
            // As many tokens as begin a page in every round.
            for (int i = 0; i < 20; i++) executor.Decode(sequences, tokens, logits);
        });
    }

    [Test]
    public void Sequence_ResetAndDispose_ReturnMemory()
    {
        using CpuExecutor executor = new(_model.Value, Contexts.For(Isa.Scalar));
        using Sequence sequence = executor.CreateSequence(new CacheOptions { PageTokens = 16, KvType = DataType.F16 });
        float[] logits = new float[_model.Value.Config.VocabularySize];
        executor.Prefill(sequence, [.. Enumerable.Range(2, 100)], logits);
        float[] first = [.. logits];
        Assert.That(sequence.KvBytes, Is.EqualTo(2 * 2 * 7L * 16 * 2 * 16 * 2), "layers x kvHeads x pages x rows x (K and V) x headDim x bytes");
        sequence.Reset();
        Assert.That(sequence.KvBytes, Is.Zero);
        executor.Prefill(sequence, [.. Enumerable.Range(2, 100)], logits);
        Assert.That(logits, Is.EqualTo(first), "a reset sequence is like a new one");
    }

    private static Sequence Start(CpuExecutor executor, CacheOptions options, int prompt)
    {
        Sequence sequence = executor.CreateSequence(options);
        executor.Prefill(sequence, [.. Enumerable.Range(0, prompt).Select(i => Token(99, i))], default(Span<float>));
        return sequence;
    }

    private static int Token(int sequence, int step) => 2 + (((sequence * 31) + (step * 17)) % 256);
}
