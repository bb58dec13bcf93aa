using Equip.Kernels.Dispatch;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Transformer;

/// <summary>Streaming in place against a cache kept in order of age whose keys are all rotated anew by rank at every step.</summary>
internal sealed class StreamingOracleTests
{
    private const double LogitTolerance = 1e-4;

    [Test]
    public void Decode_FourTimesBudgetEvictions_EqualsOracle(
        [ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa,
        [Values] PositionScheme positions,
        [Values(0, 16)] int page)
    {
        const int Sinks = 4, Budget = 24;
        using CpuExecutor executor = new(Golden.Model, Contexts.For(isa));
        using Sequence sequence = executor.CreateSequence(new CacheOptions { Policy = "streaming", Budget = Budget, Sinks = Sinks, Positions = positions, PageTokens = page, KvType = DataType.F32 });
        (int[] tokens, double[][] logits) = Oracle(positions, Sinks, Budget);
        float[] actual = new float[Golden.Model.Config.VocabularySize];
        for (int i = 0; i < tokens.Length; i++)
        {
            executor.Decode([sequence], [tokens[i]], actual);
            TestData.AssertClose(actual, logits[i], LogitTolerance, 1e-5, $"step {i}");
            if (i + 1 < tokens.Length && i >= _prompt.Length - 1) Assert.That(Array.IndexOf(actual, actual.Max()), Is.EqualTo(tokens[i + 1]), $"greedy token {i + 1}");
        }

        Assert.That(sequence.LiveTokens, Is.EqualTo(Budget));
    }

    [Test]
    public void Prefill_PromptLongerThanBudget_EqualsOracleStreamedOneByOne(
        [ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa,
        [Values] PositionScheme positions,
        [Values(1, 20, 24, 25, 60)] int firstPart)
    {
        const int Sinks = 4, Budget = 24;
        using CpuExecutor executor = new(Golden.Model, Contexts.For(isa));
        using Sequence sequence = executor.CreateSequence(new CacheOptions { Policy = "streaming", Budget = Budget, Sinks = Sinks, Positions = positions, KvType = DataType.F32 });
        (int[] tokens, double[][] logits) = Oracle(positions, Sinks, Budget);
        int vocabulary = Golden.Model.Config.VocabularySize, done = 0;
        foreach (int part in new[] { firstPart, 40, 1 })
        {
            int start = done;
            executor.Prefill(sequence, tokens.AsSpan(start, part), (first, count, all) =>
            {
                for (int i = 0; i < count; i++) TestData.AssertClose(all.Slice(i * vocabulary, vocabulary), logits[start + first + i], LogitTolerance, 1e-5, $"token {start + first + i}");
            });
            done += part;
        }

        float[] actual = new float[vocabulary];
        executor.Decode([sequence], [tokens[done]], actual);
        TestData.AssertClose(actual, logits[done], LogitTolerance, 1e-5, "decode after the prompt");
    }

    private static readonly int[] _prompt = Golden.Ids(Golden.Case(0), "input_ids");
    private static readonly Dictionary<(PositionScheme, int, int), (int[], double[][])> _oracles = [];

    /// <summary>The prompt, then greedy tokens until 4 x budget evictions have happened, with the logits after every token.</summary>
    private static (int[] Tokens, double[][] Logits) Oracle(PositionScheme positions, int sinks, int budget)
    {
        if (_oracles.TryGetValue((positions, sinks, budget), out (int[], double[][]) known)) return known;
        ReferenceModel reference = new(Golden.Model);
        ReferenceSequence sequence = reference.CreateSequence();
        ReferenceCachePolicy policy = new() { RankPositions = positions != PositionScheme.Original, BeforeAttention = ReferenceModel.Streaming(sinks, budget) };
        List<int> tokens = [.. _prompt];
        List<double[]> logits = [];
        for (int i = 0; i < 5 * budget; i++)
        {
            logits.Add(reference.Step(sequence, tokens[i], policy));
            if (i + 1 == tokens.Count) tokens.Add(Array.IndexOf(logits[i], logits[i].Max()));
        }

        return _oracles[(positions, sinks, budget)] = ([.. tokens[..(5 * budget)]], [.. logits]);
    }
}
