using System.Text.Json.Nodes;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Model;
using Equip.Model.Config;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Transformer;

/// <summary>Tiny random models of every family and rope type, loaded from folders, against the transformer in double.</summary>
internal sealed class FamilyOracleTests
{
    private const double Tolerance = 1e-4;

    [Test]
    public void PrefillAndDecode_EveryFamily_EqualReference(
        [ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa,
        [ValueSource(nameof(Models))] KeyValuePair<string, TinyModelOptions> options)
    {
        using TinyModel folder = new(options.Value);
        using LanguageModel model = LanguageModel.Load(folder.Directory);
        using CpuExecutor executor = new(model, Contexts.For(isa));
        using Sequence sequence = executor.CreateSequence(new CacheOptions { KvType = DataType.F32 });
        ReferenceModel reference = new(model);
        ReferenceSequence expected = reference.CreateSequence();
        Random random = new(TestData.Seed);
        int[] tokens = [.. Enumerable.Range(0, 45).Select(_ => random.Next(model.Config.VocabularySize))];
        double[][] wanted = [.. tokens.Select(token => reference.Step(expected, token, new ReferenceCachePolicy()))];
        int vocabulary = model.Config.VocabularySize, prompt = 40;
        executor.Prefill(sequence, tokens.AsSpan(0, prompt), (first, count, logits) =>
        {
            for (int i = 0; i < count; i++) TestData.AssertClose(logits.Slice(i * vocabulary, vocabulary), wanted[first + i], Tolerance, Tolerance, $"prompt token {first + i}");
        });
        float[] actual = new float[vocabulary];
        for (int i = prompt; i < tokens.Length; i++)
        {
            executor.Decode([sequence], [tokens[i]], actual);
            TestData.AssertClose(actual, wanted[i], Tolerance, Tolerance, $"decoded token {i}");
        }
    }

    [TestCase(DataType.F16, 0.02)]
    [TestCase(DataType.BF16, 0.1)]
    [TestCase(DataType.Q8, 0.2)]
    public void Load_ConvertedWeights_CloseToTheStored(DataType type, double tolerance)
    {
        using TinyModel folder = new(new TinyModelOptions { Hidden = 64 });
        using LanguageModel stored = LanguageModel.Load(folder.Directory), converted = LanguageModel.Load(folder.Directory, type);
        Assert.That(converted.WeightType, Is.EqualTo(type));
        Assert.That(converted.WeightBytes, Is.LessThan(stored.WeightBytes));
        float[] expected = Logits(stored), actual = Logits(converted);
        Assert.That(actual, Is.Not.EqualTo(expected));
        double scale = expected.Max(Math.Abs);
        TestData.AssertClose(actual, Array.ConvertAll(expected, v => (double)v), tolerance * scale, 0, $"{type}");
    }

    private static float[] Logits(LanguageModel model)
    {
        using CpuExecutor executor = new(model, Contexts.For(Isa.Scalar));
        using Sequence sequence = executor.CreateSequence(new CacheOptions { KvType = DataType.F32 });
        float[] logits = new float[model.Config.VocabularySize];
        executor.Prefill(sequence, [0, 20, 77, 30, 9], logits);
        return logits;
    }

    private static IEnumerable<KeyValuePair<string, TinyModelOptions>> Models()
    {
        TinyModelOptions llama = new();
        JsonObject llama3 = new() { ["rope_type"] = "llama3", ["factor"] = 8.0, ["low_freq_factor"] = 1.0, ["high_freq_factor"] = 4.0, ["original_max_position_embeddings"] = 16 };
        JsonObject yarn = new() { ["rope_type"] = "yarn", ["factor"] = 4.0, ["original_max_position_embeddings"] = 32 };
        JsonObject version5 = new() { ["rope_type"] = "linear", ["factor"] = 2.0, ["rope_theta"] = 5000.0 };
        yield return new("llama", llama);
        yield return new("llama, tied, biases", llama with { Tied = true, AttentionBias = true, MlpBias = true });
        yield return new("llama, MHA, odd sizes", llama with { Heads = 3, KvHeads = 3, HeadDim = 32, FeedForward = 75, Hidden = 48 });
        yield return new("llama, linear rope", llama with { RopeScaling = new() { ["type"] = "linear", ["factor"] = 4.0 } });
        yield return new("llama, llama3 rope", llama with { RopeScaling = llama3 });
        yield return new("llama, yarn rope", llama with { RopeScaling = yarn });
        yield return new("llama, rope_parameters", llama with { RopeParameters = version5 });
        yield return new("llama, sharded, misaligned, bf16", llama with { Shards = 3, Misaligned = true, Type = DataType.BF16 });
        yield return new("mistral, f16", llama with { Family = ModelFamily.Mistral, Type = DataType.F16 });
        yield return new("qwen2", llama with { Family = ModelFamily.Qwen2 });
        yield return new("qwen3", llama with { Family = ModelFamily.Qwen3, HeadDim = 32 });
        yield return new("mixtral", llama with { Family = ModelFamily.Mixtral, FeedForward = 75 });
        yield return new("qwen2-moe, shared expert, one dense layer", llama with { Family = ModelFamily.Qwen2Moe, Layers = 3, DenseLayers = [1] });
        yield return new("qwen2-moe, normalised weights, all experts", llama with { Family = ModelFamily.Qwen2Moe, NormalizesExperts = true, ExpertsPerToken = 5 });
        yield return new("qwen3-moe, bf16", llama with { Family = ModelFamily.Qwen3Moe, NormalizesExperts = true, Type = DataType.BF16, ExpertsPerToken = 3 });
    }
}
