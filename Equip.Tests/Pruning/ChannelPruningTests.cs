using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Kernels.Numerics;
using Equip.Model;
using Equip.Model.Config;
using Equip.Model.Pruning;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Pruning;

/// <summary>What holds for every way of choosing channels.</summary>
internal sealed unsafe class ChannelPruningTests
{
    private static readonly TinyModelOptions _tiny = new() { FeedForward = 160 };

    [Test]
    public void Decode_RatioZero_SameBitsAsWithoutPruning([Values] ChannelMethod method)
    {
        using TinyModel folder = new(_tiny);
        using LanguageModel model = LanguageModel.Load(folder.Directory);
        Assert.That(Run(model, new ChannelOptions { Method = method, Ratio = 0 }), Is.EqualTo(Run(model, null)));
        Assert.That(Run(model, new ChannelOptions { Method = method, Ratio = 0.5 }), Is.Not.EqualTo(Run(model, null)));
    }

    [Test]
    public void Decode_EveryRatio_IsMetAndOnlyItsBytesAreRead([Values] ChannelMethod method, [Values(0.1, 0.2, 0.3, 0.4, 0.5)] double ratio)
    {
        using TinyModel folder = new(_tiny);
        using LanguageModel model = LanguageModel.Load(folder.Directory);
        using CpuExecutor executor = new(model, Contexts.For(Isa.Scalar));
        _ = Run(executor, new ChannelOptions { Method = method, Ratio = ratio });
        FeedForwardTraffic traffic = executor.FeedForwardTraffic;
        double kept = 1 - ratio, int8 = (1 + (2.0 / 32)) / 4;
        double expected = method switch
        {
            ChannelMethod.Pop => (2 * (kept + 0.05)) + kept,
            ChannelMethod.Oracle => 2 + kept,
            ChannelMethod.GateFirst => 1 + (2 * kept),
            ChannelMethod.Int8First => (2 * int8) + kept,
            _ => 3 * kept,
        };
        Assert.That(traffic.KeptShare, Is.EqualTo(kept).Within(0.005));
        Assert.That(traffic.Bytes / (double)traffic.DenseBytes, Is.EqualTo(expected / 3).Within(0.01));
        Assert.That(traffic.DenseBytes, Is.EqualTo(8 * model.Weights.FeedForwardBytesPerStep), "8 tokens");
    }

    [Test]
    public void Decode_Threshold_KeepsAboutItsShare()
    {
        using TinyModel folder = new(_tiny);
        using LanguageModel model = LanguageModel.Load(folder.Directory);
        using CpuExecutor executor = new(model, Contexts.For(Isa.Scalar));
        _ = Run(executor, new ChannelOptions { Method = ChannelMethod.GateFirst, Ratio = 0.5, Threshold = true }, tokens: 200);
        Assert.That(executor.FeedForwardTraffic.KeptShare, Is.EqualTo(0.5).Within(0.02));
    }

    [Test]
    public void Step_WhatIsPruned_IsNeverRead([Values(ChannelMethod.Pop, ChannelMethod.Static, ChannelMethod.Random)] ChannelMethod method)
    {
        const int channels = 96, hidden = 64;
        float[] gate = TestData.Random(channels * hidden, 1, 0.1f), up = TestData.Random(channels * hidden, 2, 0.1f), down = TestData.Random(channels * hidden, 3, 0.1f), input = TestData.Random(hidden, 4);
        fixed (float* g = gate, u = up, d = down)
        {
            using ChannelWeights weights = Weights(g, u, d, channels, hidden, int8: false, out FeedForwardWeights block);
            ChannelOptions options = new() { Method = method, Ratio = 0.4, Gamma = method == ChannelMethod.Pop ? 0.1 : 0, Copies = false };
            using BufferPool copies = new();
            using PartitionedChannels pruned = new(block, weights, options, seed: 7, copies);
            pruned.Observe(TestData.Random(channels * 3, 5), TestData.Random(channels * 3, 6), 3);
            pruned.EndPrompt(Contexts.For(Isa.Auto));
            ChannelScratch scratch = new(channels);
            float[] before = new float[hidden], after = new float[hidden];
            pruned.Step(Contexts.For(Isa.Auto), scratch, input, before, accumulate: false);
            // 38 of 96 are left out for good, 33 where 10 are candidates.
            int poisoned = 0;
            float[] trial = new float[hidden];
            for (int channel = 0; channel < channels; channel++)
            {
                Span<float> row = gate.AsSpan(channel * hidden, hidden);
                float[] saved = row.ToArray();
                // A gate so large that the channel is chosen if it is read.
                for (int i = 0; i < hidden; i++) row[i] = 1e4f * input[i];
                pruned.Step(Contexts.For(Isa.Auto), scratch, input, trial, accumulate: false);
                if (trial.AsSpan().SequenceEqual(before)) poisoned++;
                else saved.CopyTo(row);
            }

            pruned.Step(Contexts.For(Isa.Auto), scratch, input, after, accumulate: false);
            Assert.That(after, Is.EqualTo(before));
            Assert.That(poisoned, Is.EqualTo(channels - (method == ChannelMethod.Pop ? 53 + 10 : 58)));
        }
    }

    [Test]
    public void Step_Int8First_ProjectsTheBestChannelsOfTheRoundedProduct([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa)
    {
        const int channels = 96, hidden = 64, kept = 48;
        KernelContext context = Contexts.For(isa);
        float[] gate = TestData.Random(channels * hidden, 1, 0.1f), up = TestData.Random(channels * hidden, 2, 0.1f), down = TestData.Random(channels * hidden, 3, 0.1f), input = TestData.Random(hidden, 4);
        fixed (float* g = gate, u = up, d = down)
        {
            using ChannelWeights weights = Weights(g, u, d, channels, hidden, int8: true, out FeedForwardWeights block);
            using Int8FirstChannels pruned = new(block, weights, new ChannelOptions { Method = ChannelMethod.Int8First, Ratio = 0.5 });
            float[] actual = TestData.Random(hidden, 9), gates = new float[channels], ups = new float[channels];
            double[] expected = [.. actual.Select(value => (double)value)];
            LinearLayer.Multiply(context, weights.Int8Gate, input, gates, 1);
            LinearLayer.Multiply(context, weights.Int8Up, input, ups, 1);
            double[] product = [.. gates.Select((value, k) => value / (1 + Math.Exp(-value)) * ups[k])];
            IEnumerable<int> best = Enumerable.Range(0, channels).OrderByDescending(k => Math.Abs(product[k]) * Enumerable.Range(0, hidden).Sum(row => Math.Abs((double)down[(row * channels) + k])));
            foreach (int k in best.Take(kept))
                for (int row = 0; row < hidden; row++) expected[row] += product[k] * down[(row * channels) + k];
            pruned.Step(context, new ChannelScratch(channels), input, actual, accumulate: true);
            TestData.AssertClose(actual, expected, 1e-4, 1e-4);
        }
    }

    [TestCase(DataType.F32)]
    [TestCase(DataType.F16)]
    [TestCase(DataType.BF16)]
    [TestCase(DataType.Q8)]
    public void Decode_EveryWeightType_IsCloseToFloat(DataType type)
    {
        using TinyModel folder = new(_tiny);
        using LanguageModel exact = LanguageModel.Load(folder.Directory), converted = LanguageModel.Load(folder.Directory, type);
        ChannelOptions oracle = new() { Method = ChannelMethod.Oracle, Ratio = 0.1 };
        float[] expected = Run(exact, oracle), actual = Run(converted, oracle);
        TestData.AssertClose(actual, Array.ConvertAll(expected, value => (double)value), (type == DataType.F32 ? 1e-6 : 0.1) * expected.Max(Math.Abs), 0, $"{type}");
    }

    [Test]
    public void Decode_Batch_EachSequenceHasItsOwnChannels()
    {
        using TinyModel folder = new(_tiny with { Family = ModelFamily.Mixtral });
        using LanguageModel model = LanguageModel.Load(folder.Directory);
        using CpuExecutor executor = new(model, Contexts.For(Isa.Auto));
        ChannelOptions?[] options = [new ChannelOptions { Ratio = 0.4 }, null, new ChannelOptions { Method = ChannelMethod.GateFirst, Ratio = 0.5 }, new ChannelOptions { Ratio = 0.4 }];
        int vocabulary = model.Config.VocabularySize;
        Sequence[] alone = [.. options.Select(Start)], together = [.. options.Select(Start)];
        float[] single = new float[vocabulary], batch = new float[4 * vocabulary];
        for (int step = 0; step < 4; step++)
        {
            int[] tokens = [step, 9, 17 + step, 60];
            executor.Decode(together, tokens, batch);
            for (int i = 0; i < 4; i++)
            {
                executor.Decode([alone[i]], [tokens[i]], single);
                TestData.AssertClose(batch.AsSpan(i * vocabulary, vocabulary), Array.ConvertAll(single, value => (double)value), 1e-4, 1e-4, $"sequence {i}");
            }
        }

        foreach (Sequence sequence in alone.Concat(together)) sequence.Dispose();

        Sequence Start(ChannelOptions? channels, int number)
        {
            Sequence sequence = executor.CreateSequence(new CacheOptions { KvType = DataType.F32, Channels = channels });
            executor.Prefill(sequence, [0, 40 + number, 41, 80 - number, 7], []);
            return sequence;
        }
    }

    [Test]
    public void Reset_NextText_ChoosesAnew()
    {
        using TinyModel folder = new(_tiny);
        using LanguageModel model = LanguageModel.Load(folder.Directory);
        using CpuExecutor executor = new(model, Contexts.For(Isa.Auto));
        using Sequence used = executor.CreateSequence(new CacheOptions { Channels = new ChannelOptions { Ratio = 0.5 } }), fresh = executor.CreateSequence(used.Options);
        float[] first = new float[model.Config.VocabularySize], second = new float[first.Length];
        executor.Prefill(used, [0, 99, 98, 97, 96], []);
        used.Reset();
        foreach ((Sequence sequence, float[] logits) in new[] { (used, first), (fresh, second) })
        {
            executor.Prefill(sequence, [0, 5, 6, 7], []);
            executor.Decode([sequence], [8], logits);
        }

        Assert.That(first, Is.EqualTo(second));
    }

    [Test]
    public void Decode_CopiedChannels_SameBits([Values(DataType.F32, DataType.BF16, DataType.Q8)] DataType type, [Values(ChannelMethod.Pop, ChannelMethod.Static)] ChannelMethod method)
    {
        using TinyModel folder = new(_tiny);
        using LanguageModel model = LanguageModel.Load(folder.Directory, type);
        ChannelOptions options = new() { Method = method, Ratio = 0.4 };
        float[] copied = Run(model, options);
        Assert.That(copied, Is.EqualTo(Run(model, options with { Copies = false })));
        Assert.That(copied, Is.Not.EqualTo(Run(model, null)));
    }

    [Test]
    public void Step_CopiedChannels_ReadsTheCopiesAlone([Values(ChannelMethod.Pop, ChannelMethod.Static, ChannelMethod.Random)] ChannelMethod method)
    {
        const int channels = 96, hidden = 64;
        float[] gate = TestData.Random(channels * hidden, 1, 0.1f), up = TestData.Random(channels * hidden, 2, 0.1f), down = TestData.Random(channels * hidden, 3, 0.1f), input = TestData.Random(hidden, 4);
        fixed (float* g = gate, u = up, d = down)
        {
            using ChannelWeights weights = Weights(g, u, d, channels, hidden, int8: false, out FeedForwardWeights plain);
            FeedForwardWeights block = new() { Gate = plain.Gate, Up = plain.Up, Down = plain.Down, GateBias = TestData.Random(channels, 7), UpBias = TestData.Random(channels, 8) };
            ChannelOptions options = new() { Method = method, Ratio = 0.4, Gamma = method == ChannelMethod.Pop ? 0.1 : 0 };
            float[] expected = Step(copies: false), actual = Step(copies: true);
            Assert.That(actual, Is.EqualTo(expected));
            Assert.That(expected, Has.None.Zero);

            float[] Step(bool copies)
            {
                using BufferPool pool = new();
                using PartitionedChannels pruned = new(block, weights, options with { Copies = copies }, seed: 7, pool);
                pruned.Observe(TestData.Random(channels * 3, 5), TestData.Random(channels * 3, 6), 3);
                pruned.EndPrompt(Contexts.For(Isa.Auto));
                if (copies)
                {
                    gate.AsSpan().Fill(float.NaN);
                    up.AsSpan().Fill(float.NaN);
                    new Span<float>(weights.DownTransposed.Data, channels * hidden).Fill(float.NaN);
                }

                float[] output = new float[hidden];
                pruned.Step(Contexts.For(Isa.Auto), new ChannelScratch(channels), input, output, accumulate: false);
                return output;
            }
        }
    }

    [Test]
    public void Prefill_InParts_SameBitsAsWhole([Values(ChannelMethod.Pop, ChannelMethod.Random)] ChannelMethod method)
    {
        using TinyModel folder = new(_tiny);
        using LanguageModel model = LanguageModel.Load(folder.Directory);
        using CpuExecutor executor = new(model, Contexts.For(Isa.Scalar));
        int[] prompt = [0, 20, 77, 30, 9, 100, 101, 102];
        float[] whole = new float[model.Config.VocabularySize], parts = new float[whole.Length];
        foreach (float[] logits in new[] { whole, parts })
        {
            using Sequence sequence = executor.CreateSequence(new CacheOptions { KvType = DataType.F32, Channels = new ChannelOptions { Method = method, Ratio = 0.4 } });
            if (logits == parts) executor.Prefill(sequence, prompt.AsSpan(0, 3), [], final: false);
            executor.Prefill(sequence, logits == parts ? prompt.AsSpan(3) : prompt, []);
            executor.Decode([sequence], [5], logits);
        }

        TestData.AssertClose(parts, Array.ConvertAll(whole, value => (double)value), 1e-5, 1e-5);
        Assert.That(whole, Has.None.Zero);
    }

    [Test]
    public void Decode_DisposedSequence_IsRefused()
    {
        using TinyModel folder = new(_tiny);
        using LanguageModel model = LanguageModel.Load(folder.Directory);
        using CpuExecutor executor = new(model, Contexts.For(Isa.Auto));
        Sequence sequence = executor.CreateSequence(new CacheOptions { Channels = new ChannelOptions { Ratio = 0.4 } });
        executor.Prefill(sequence, [0, 5, 6, 7], []);
        sequence.Dispose();
        sequence.Dispose();
        Assert.That(() => executor.Decode([sequence], [8], new float[model.Config.VocabularySize]), Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(sequence.Reset, Throws.InstanceOf<ObjectDisposedException>());
    }

    [TestCase(-0.1, 0.1, "ratio -0.1")]
    [TestCase(1, 0.1, "ratio 1")]
    [TestCase(double.NaN, 0.1, "ratio NaN")]
    [TestCase(0.1, 0.3, "gamma: got 0.3, expected 0 to 0.2")]
    [TestCase(0.9, 0.3, "gamma: got 0.3, expected 0 to 0.2")]
    public void CreateSequence_OutOfRange_IsRefused(double ratio, double gamma, string problem)
    {
        using TinyModel folder = new(_tiny);
        using LanguageModel model = LanguageModel.Load(folder.Directory);
        using CpuExecutor executor = new(model, Contexts.For(Isa.Scalar));
        Assert.That(() => executor.CreateSequence(new CacheOptions { Channels = new ChannelOptions { Ratio = ratio, Gamma = gamma } }), Throws.InstanceOf<ArgumentException>().With.Message.Contains(problem));
    }

    private static ChannelWeights Weights(float* gate, float* up, float* down, int channels, int hidden, bool int8, out FeedForwardWeights block)
    {
        block = new FeedForwardWeights
        {
            Gate = new WeightMatrix(gate, DataType.F32, channels, hidden),
            Up = new WeightMatrix(up, DataType.F32, channels, hidden),
            Down = new WeightMatrix(down, DataType.F32, hidden, channels),
        };
        return ChannelWeights.Of(Contexts.For(Isa.Auto), block, int8);
    }

    private static float[] Run(LanguageModel model, ChannelOptions? options)
    {
        using CpuExecutor executor = new(model, Contexts.For(Isa.Auto));
        return Run(executor, options);
    }

    private static float[] Run(CpuExecutor executor, ChannelOptions? options, int tokens = 8)
    {
        using Sequence sequence = executor.CreateSequence(new CacheOptions { KvType = DataType.F32, Channels = options });
        float[] logits = new float[executor.Model.Config.VocabularySize];
        executor.Prefill(sequence, [0, 20, 77, 30, 9, 100, 101, 102], []);
        for (int i = 0; i < tokens; i++) executor.Decode([sequence], [(i * 37) % 250], logits);
        return logits;
    }
}
