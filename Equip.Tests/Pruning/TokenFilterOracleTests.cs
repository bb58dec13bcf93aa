using Equip.Kernels.Dispatch;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Model;
using Equip.Model.Pruning;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Pruning;

/// <summary>
/// Decoding with a filter under every policy, update and position convention against a model in double that makes the same decisions and
/// keeps its cache as lists in order of age: a filtered token must leave no trace in positions, slots or the residual stream.
/// </summary>
internal sealed class TokenFilterOracleTests
{
    private const int Budget = 20, Sinks = 2, Prompt = 30, Steps = 110, WarmUp = 34;

    private static readonly Lazy<TinyModel> _folder = new(() => new TinyModel(new TinyModelOptions { AttentionBias = true }));
    private static readonly Lazy<LanguageModel> _model = new(() => LanguageModel.Load(_folder.Value.Directory));

    [OneTimeTearDown]
    public void DeleteModel()
    {
        if (!_folder.IsValueCreated) return;
        _model.Value.Dispose();
        _folder.Value.Dispose();
    }

    [Test]
    public void Decode_Filtered_EqualsOracle([ValueSource(nameof(Combinations))] (string Policy, bool Appends, CacheUpdate Update, PositionScheme Positions) combination)
    {
        (string policy, bool appends, CacheUpdate update, PositionScheme positions) = combination;
        TokenFilterOptions filter = new() { Ratio = 0.5, Appends = appends, WarmUpTokens = WarmUp };
        using CpuExecutor executor = new(_model.Value, Contexts.For(Isa.Auto));
        using Sequence sequence = executor.CreateSequence(new CacheOptions
        {
            Policy = policy,
            Budget = Budget,
            Sinks = Sinks,
            Update = update,
            Positions = positions,
            KvType = DataType.F32,
            Filter = filter,
        });
        Oracle oracle = new(sequence, filter);
        int[] tokens = [.. Enumerable.Range(0, Steps).Select(i => 2 + (i * 97 % 251))];
        float[] logits = new float[_model.Value.Config.VocabularySize];
        int prompt = policy == "streaming" ? 0 : Prompt, second = policy == "full" ? 80 : Steps;
        if (prompt > 0) executor.Prefill(sequence, tokens.AsSpan(0, prompt), logits);
        for (int i = 0; i < Steps; i++)
        {
            if (i == second) executor.Prefill(sequence, tokens.AsSpan(i, 10), logits);
            bool dense = i < prompt || (i >= second && i < second + 10);
            if (!dense) executor.Decode([sequence], [tokens[i]], logits);
            double[] wanted = oracle.Step(tokens[i], dense, evicts: i >= prompt, i);
            if (!dense || i == prompt - 1 || i == second + 9) TestData.AssertClose(logits, wanted, 1e-4, 1e-5, $"step {i}");
            Assert.That(sequence.LiveTokens, policy == "full" ? Is.LessThanOrEqualTo(i + 1 + Prompt) : Is.LessThanOrEqualTo(Math.Max(Budget + 1, prompt)));
        }

        Assert.That(executor.Filtered.Ratio, Is.EqualTo(0.5).Within(0.1), "share of the decisions");
        Assert.That(oracle.Close, Is.LessThan(3), "decisions too close to call");
    }

    private static IEnumerable<(string Policy, bool Appends, CacheUpdate Update, PositionScheme Positions)> Combinations()
    {
        foreach (string policy in new[] { "full", "streaming", "h2o", "tova", "random" })
        {
            foreach (PositionScheme positions in Enum.GetValues<PositionScheme>())
            {
                bool window = positions is PositionScheme.CacheTwoQuery or PositionScheme.CacheRerotateSinks;
                if ((window && policy != "streaming") || (policy == "full" && positions != PositionScheme.Original)) continue;
                yield return (policy, true, CacheUpdate.InPlace, positions);
                yield return (policy, false, CacheUpdate.InPlace, positions);
            }

            if (policy == "full") continue;
            foreach (CacheUpdate update in Enum.GetValues<CacheUpdate>())
                if (update != CacheUpdate.InPlace) yield return (policy, true, update, PositionScheme.Cache);
        }
    }

    /// <summary>The model in double beside a sequence: it filters and evicts what the sequence did, and checks that its decisions are those of the formula.</summary>
    private sealed class Oracle
    {
        private readonly Sequence _sequence;
        private readonly bool _appends;
        private readonly ReferenceModel _model = new(TokenFilterOracleTests._model.Value);
        private readonly ReferenceSequence _expected;
        private readonly ReferenceTokenFilter[] _filters;
        private readonly List<int>[] _taken;
        private int _step;

        public Oracle(Sequence sequence, TokenFilterOptions filter)
        {
            (_sequence, _appends) = (sequence, filter.Appends);
            _expected = _model.CreateSequence();
            int layers = sequence.Cache.Layers;
            _filters = [.. Enumerable.Range(0, layers).Select(_ => new ReferenceTokenFilter(sequence.Cache.KvHeads, filter.Ratio, filter.Gamma, filter.Eta, WarmUp / 2))];
            _taken = [.. Enumerable.Range(0, layers).Select(_ => new List<int>())];
        }

        /// <summary>Decisions whose margin was within float32's reach.</summary>
        public int Close { get; private set; }

        public double[] Step(int token, bool dense, bool evicts, int step)
        {
            _step = step;
            return _model.Step(_expected, token, new ReferenceCachePolicy
            {
                RankPositions = _sequence.Options.Positions != PositionScheme.Original,
                Filter = (layer, key, value) => Decide(layer, key, value, dense),
                BeforeAttention = layer =>
                {
                    if (evicts && !dense) KeepWhatIsLive(layer);
                },
            });
        }

        private (bool Skips, bool Appends) Decide(int layer, double[] key, double[] value, bool dense)
        {
            bool skips = !dense && _step >= WarmUp && _sequence.Filter!.Skipped(layer);
            if (dense || _step < WarmUp)
            {
                _filters[layer].Observe(key, value);
            }
            else
            {
                (bool wanted, double margin) = _filters[layer].Decide(key, value, skips);
                if (Math.Abs(margin) < 1e-5) Close++;
                else Assert.That(skips, Is.EqualTo(wanted), $"layer {layer}, token {_step}, margin {margin}");
                Assert.That(_sequence.Filter!.Threshold(layer), Is.EqualTo(_filters[layer].Threshold).Within(1e-4));
            }

            if (!skips || _appends) _taken[layer].Add(_step);
            return (skips, _appends);
        }

        /// <summary>Drops the entries that the sequence no longer holds; the newest is always there.</summary>
        private void KeepWhatIsLive(List<ReferenceEntry>[] layer)
        {
            int index = Array.IndexOf(_expected.Entries, layer);
            // Where positions are ranks, the cache numbers the tokens that it has taken.
            bool ranks = !_appends && _sequence.Options.Positions != PositionScheme.Original;
            for (int head = 0; head < layer.Length; head++)
            {
                HeadCache cache = _sequence.Cache.Layer(index)[head];
                HashSet<int> live = [];
                for (int slot = 0; slot < cache.Count; slot++) live.Add(ranks ? _taken[index][cache.Positions[slot]] : cache.Positions[slot]);
                layer[head].RemoveAll(entry => !live.Contains(entry.Position));
                Assert.That(layer[head], Has.Count.EqualTo(cache.Count), "every live slot is a token that the oracle holds");
                Assert.That(layer[head][^1].Position, Is.EqualTo(_step), "the newest token is live");
            }
        }
    }
}
