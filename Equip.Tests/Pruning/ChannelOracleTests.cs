using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Model;
using Equip.Model.Config;
using Equip.Model.Pruning;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Pruning;

/// <summary>Whole tiny models with channels left out, against the transformer in double where they are set to 0.</summary>
internal sealed class ChannelOracleTests
{
    private const double Tolerance = 2e-4;

    [Test]
    public void Decode_EveryMethod_EqualsReference(
        [ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa,
        [ValueSource(nameof(Models))] KeyValuePair<string, TinyModelOptions> tiny,
        [ValueSource(nameof(Options))] ChannelOptions options,
        [Values(0, 24)] int prompt)
    {
        using TinyModel folder = new(tiny.Value);
        using LanguageModel model = LanguageModel.Load(folder.Directory);
        using CpuExecutor executor = new(model, Contexts.For(isa));
        using Sequence sequence = executor.CreateSequence(new CacheOptions { KvType = DataType.F32, Channels = options });
        ReferenceModel reference = new(model);
        ReferenceChannels channels = new(model, options);
        reference.OnBlock = channels.OnBlock;
        ReferenceSequence expected = reference.CreateSequence();
        Random random = new(TestData.Seed);
        int[] tokens = [.. Enumerable.Range(0, 34).Select(_ => random.Next(model.Config.VocabularySize))];
        float[] actual = new float[model.Config.VocabularySize];

        // Two prompts: the second adds to what the first has shown.
        foreach (int token in tokens.AsSpan(0, prompt)) _ = reference.Step(expected, token, new ReferenceCachePolicy());
        channels.EndPrompt(tokens.AsSpan(0, prompt));
        if (prompt > 0)
        {
            executor.Prefill(sequence, tokens.AsSpan(0, prompt - 9), []);
            executor.Prefill(sequence, tokens.AsSpan(prompt - 9, 9), []);
        }

        for (int i = prompt; i < tokens.Length; i++)
        {
            executor.Decode([sequence], [tokens[i]], actual);
            TestData.AssertClose(actual, reference.Step(expected, tokens[i], new ReferenceCachePolicy()), Tolerance, Tolerance, $"decoded token {i}");
        }

        Assert.That(executor.FeedForwardTraffic.KeptShare, Is.EqualTo(1 - options.Ratio).Within(0.02));
    }

    private static IEnumerable<KeyValuePair<string, TinyModelOptions>> Models()
    {
        yield return new("llama, biases", new TinyModelOptions { MlpBias = true, FeedForward = 150 });
        yield return new("llama, bf16", new TinyModelOptions { Type = DataType.BF16, FeedForward = 128 });
        yield return new("qwen2-moe", new TinyModelOptions { Family = ModelFamily.Qwen2Moe, FeedForward = 160, Layers = 3, DenseLayers = [1] });
    }

    private static IEnumerable<ChannelOptions> Options()
    {
        yield return new ChannelOptions { Ratio = 0.4 };
        yield return new ChannelOptions { Ratio = 0.2, Gamma = 0.4 };
        yield return new ChannelOptions { Ratio = 0.5, Gamma = 0 };
        yield return new ChannelOptions { Method = ChannelMethod.Static, Ratio = 0.3 };
        yield return new ChannelOptions { Method = ChannelMethod.Random, Ratio = 0.3 };
        yield return new ChannelOptions { Method = ChannelMethod.Oracle, Ratio = 0.6 };
        yield return new ChannelOptions { Method = ChannelMethod.GateFirst, Ratio = 0.55 };
        yield return new ChannelOptions { Method = ChannelMethod.GateFirst, Ratio = 0.3, Factor = ChannelFactor.Weights };
    }
}
