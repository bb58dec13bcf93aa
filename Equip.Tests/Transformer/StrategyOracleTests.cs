using Equip.Kernels.Dispatch;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Model;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Transformer;

/// <summary>
/// Every update and every realisation of positions under every decode policy, against lists in order of age whose keys are all
/// rotated anew at every step. The oracle keeps the tokens that the policy kept, so this is about where rows lie and how they
/// are rotated, holes at random included.
/// </summary>
internal sealed class StrategyOracleTests
{
    private const int Budget = 20, Sinks = 2, Steps = 5 * Budget, Prompt = 30;
    private const double LogitTolerance = 1e-4;

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
    public void Decode_FourTimesBudgetEvictions_EqualsOracle(
        [ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa,
        [ValueSource(nameof(Combinations))] (string Policy, int Prompt, int Page, CacheUpdate Update, PositionScheme Positions) combination)
    {
        CacheOptions options = new()
        {
            Policy = combination.Policy,
            Budget = Budget,
            Sinks = Sinks,
            PageTokens = combination.Page,
            Update = combination.Update,
            Positions = combination.Positions,
            KvType = DataType.F32,
        };
        using CpuExecutor executor = new(_model.Value, Contexts.For(isa));
        using Sequence sequence = executor.CreateSequence(options);
        ReferenceModel reference = new(_model.Value);
        ReferenceSequence expected = reference.CreateSequence();
        ReferenceCachePolicy oracle = new()
        {
            RankPositions = combination.Positions != PositionScheme.Original,
            BeforeAttention = layer => KeepWhatIsLive(layer, expected, sequence),
        };
        int[] tokens = Tokens();
        float[] logits = new float[_model.Value.Config.VocabularySize];
        if (combination.Prompt > 0) executor.Prefill(sequence, tokens.AsSpan(0, combination.Prompt), logits);
        for (int i = 0; i < combination.Prompt; i++) reference.Step(expected, tokens[i], new ReferenceCachePolicy());
        for (int i = combination.Prompt; i < Steps; i++)
        {
            executor.Decode([sequence], [tokens[i]], logits);
            double[] wanted = reference.Step(expected, tokens[i], oracle);
            TestData.AssertClose(logits, wanted, LogitTolerance, 1e-5, $"step {i}");
            Assert.That(Array.IndexOf(logits, logits.Max()), Is.EqualTo(Array.IndexOf(wanted, wanted.Max())), $"greedy token after step {i}");
            Assert.That(sequence.LiveTokens, Is.LessThanOrEqualTo(Budget + 1));
        }
    }

    [Test]
    public void Decode_FromIndexOneMillion_EqualsFromZero(
        [ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa,
        [Values(PositionScheme.Original, PositionScheme.CacheLazy, PositionScheme.CacheOlderSide, PositionScheme.CacheRotateOnRead)] PositionScheme positions)
    {
        using CpuExecutor executor = new(_model.Value, Contexts.For(isa));
        CacheOptions options = new() { Policy = "h2o", Budget = Budget, Positions = positions, KvType = DataType.F32 };
        using Sequence zero = executor.CreateSequence(options), million = executor.CreateSequence(options);
        million.Tokens = 1_000_000;
        int vocabulary = _model.Value.Config.VocabularySize;
        float[] logits = new float[2 * vocabulary];
        foreach (int token in Tokens())
        {
            executor.Decode([zero, million], [token, token], logits);
            TestData.AssertClose(logits.AsSpan(vocabulary), Array.ConvertAll(logits[..vocabulary], v => (double)v), 1e-5, 1e-5, $"step {zero.Tokens}");
        }
    }

    [TestCase("streaming", 0, CacheUpdate.FusedShift)]
    [TestCase("h2o", 8, CacheUpdate.Memmove)]
    [TestCase("streaming", 8, CacheUpdate.Functional)]
    public void CreateSequence_BaselineWithPages_IsRefused(string policy, int page, CacheUpdate update)
    {
        using CpuExecutor executor = new(_model.Value, Contexts.For(Isa.Scalar));
        CacheOptions options = new() { Policy = policy, PageTokens = page, Update = update };
        Assert.That(() => executor.CreateSequence(options), page == 0 ? Throws.Nothing : Throws.ArgumentException.With.Message.Contains("one page"));
    }

    [TestCase("h2o", PositionScheme.CacheTwoQuery)]
    [TestCase("random", PositionScheme.CacheRerotateSinks)]
    public void CreateSequence_WindowSchemeForHoles_NamesTheWayOut(string policy, PositionScheme positions)
    {
        using CpuExecutor executor = new(_model.Value, Contexts.For(Isa.Scalar));
        Assert.That(() => executor.CreateSequence(new CacheOptions { Policy = policy, Positions = positions }), Throws.ArgumentException.With.Message.Contains("cache:lazy"));
    }

    /// <summary>A prompt that evicts after full attention is part of it; one streamed through a window has an oracle of its own.</summary>
    private static IEnumerable<(string Policy, int Prompt, int Page, CacheUpdate Update, PositionScheme Positions)> Combinations()
    {
        foreach (int page in new[] { 3, 4 }) yield return ("pagedeviction", 0, page, CacheUpdate.InPlace, PositionScheme.Original);
        foreach ((string policy, int prompt, int page) in new[] { ("streaming", 0, 0), ("h2o", 0, 0), ("h2o", Prompt, 0), ("tova", Prompt, 0), ("random", 0, 0), ("random", 0, 4) })
        {
            foreach (PositionScheme positions in Enum.GetValues<PositionScheme>())
            {
                bool window = positions is PositionScheme.CacheTwoQuery or PositionScheme.CacheRerotateSinks;
                if (!window || policy == "streaming") yield return (policy, prompt, page, CacheUpdate.InPlace, positions);
            }

            foreach (CacheUpdate update in Enum.GetValues<CacheUpdate>())
            {
                if (update == CacheUpdate.InPlace || page > 0) continue;
                yield return (policy, prompt, page, update, PositionScheme.Original);
                yield return (policy, prompt, page, update, PositionScheme.Cache);
            }
        }
    }

    private static int[] Tokens()
    {
        Random random = new(TestData.Seed);
        return [.. Enumerable.Range(0, Steps).Select(_ => random.Next(2, 258))];
    }

    /// <summary>Drops the reference entries that the sequence's heads of the same layer no longer hold; the newest is always there.</summary>
    private static void KeepWhatIsLive(List<ReferenceEntry>[] layer, ReferenceSequence expected, Sequence sequence)
    {
        int index = Array.IndexOf(expected.Entries, layer);
        for (int head = 0; head < layer.Length; head++)
        {
            HeadCache cache = sequence.Cache.Layer(index)[head];
            HashSet<int> live = [];
            for (int slot = 0; slot < cache.Capacity; slot++)
                if (slot % cache.PageTokens < cache.LiveInPage(slot / cache.PageTokens)) live.Add(cache.Positions[slot]);
            layer[head].RemoveAll(entry => !live.Contains(entry.Position));
            Assert.That(layer[head], Has.Count.EqualTo(cache.Count), "every live slot is a token that the oracle holds");
        }
    }
}
