using System.Text.Json;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Transformer;

/// <summary>The whole model against float32 logits of Hugging Face transformers.</summary>
internal sealed class GoldenTests
{
    private const double LogitTolerance = 1e-3;
    private const float TieMargin = 0.01f;

    private static readonly CacheOptions _full = new() { KvType = DataType.F32 };

    [Test]
    public void Prefill_GoldenPrompts_TopLogitsEqual([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [Range(0, 3)] int index)
    {
        JsonElement golden = Golden.Case(index);
        using CpuExecutor executor = new(Golden.Model, Contexts.For(isa));
        using Sequence sequence = executor.CreateSequence(_full);
        int[] ids = Golden.Ids(golden, "input_ids");
        Dictionary<int, float[]> logits = [];
        HashSet<int> wanted = [ids.Length - 1, .. golden.GetProperty("other_positions").EnumerateArray().Select(other => other.GetProperty("position").GetInt32())];
        executor.Prefill(sequence, ids, (first, count, all) =>
        {
            int vocabulary = all.Length / count;
            for (int i = 0; i < count; i++)
                if (wanted.Contains(first + i)) logits[first + i] = all.Slice(i * vocabulary, vocabulary).ToArray();
        });

        AssertTop(logits[ids.Length - 1], Golden.Ids(golden, "last_top10_ids"), Golden.Values(golden, "last_top10_logits"));
        foreach (JsonElement other in golden.GetProperty("other_positions").EnumerateArray())
            AssertTop(logits[other.GetProperty("position").GetInt32()], Golden.Ids(other, "top5_ids"), Golden.Values(other, "top5_logits"));
    }

    [Test]
    public void Decode_GoldenPrompts_GreedyTokensEqual([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [Range(0, 3)] int index)
    {
        JsonElement golden = Golden.Case(index);
        using CpuExecutor executor = new(Golden.Model, Contexts.For(isa));
        using Sequence sequence = executor.CreateSequence(_full);
        float[] logits = new float[Golden.Model.Config.VocabularySize];
        executor.Prefill(sequence, Golden.Ids(golden, "input_ids"), logits);
        int[] expected = Golden.Ids(golden, "greedy_ids");
        float[] margins = Golden.Values(golden, "greedy_margin_top1_top2");
        for (int i = 0; i < expected.Length; i++)
        {
            int best = Array.IndexOf(logits, logits.Max());
            if (margins[i] >= TieMargin) Assert.That(best, Is.EqualTo(expected[i]), $"token {i}");
            executor.Decode([sequence], [expected[i]], logits);
        }
    }

    private static void AssertTop(float[] logits, int[] ids, float[] values)
    {
        int[] best = [.. Enumerable.Range(0, logits.Length).OrderByDescending(id => logits[id]).ThenBy(id => id).Take(ids.Length)];
        Assert.That(best, Is.EqualTo(ids));
        for (int i = 0; i < ids.Length; i++) Assert.That(logits[ids[i]], Is.EqualTo(values[i]).Within(LogitTolerance), $"logit of id {ids[i]}");
    }
}
