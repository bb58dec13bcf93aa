using System.Text;
using Equip.Kernels.Rope;
using Equip.Model;
using Equip.Model.Config;
using Equip.Model.Safetensors;
using Equip.Tests.Fixtures;
using Equip.Tests.Safetensors;

namespace Equip.Tests.BadFiles;

/// <summary>Damaged files are read or refused with a <see cref="ModelFormatException"/>, and nothing else happens.</summary>
internal sealed class MutationTests
{
    private const int Seed = TestData.Seed;

    // What one refusal may allocate beyond a multiple of the file: the exception, its text, the reader's small tables.
    private const long SlackBytes = 64 * 1024;

    [Test]
    [MaxTime(10_000)]
    public void Read_DamagedHeaders_GiveTilingOrError()
    {
        SafetensorsWriter writer = new();
        writer.AddMetadata("format", "pt");
        writer.Add("model.a", "F32", [2, 3], new byte[24]);
        writer.Add("model.\u00e9", "BF16", [4], new byte[8]);
        writer.Add("model.empty", "U8", [0], []);
        writer.Add("model.scalar", "F6_E2M3", [4], new byte[3]);
        byte[] good = writer.ToArray();
        Mutator mutator = new(Seed);
        Outcomes outcomes = new();
        for (int round = 0; round < 20_000; round++)
        {
            byte[] bad = mutator.Mutate(good, 8);
            // Half of them with the right length again, so that damage goes past the first check.
            if (round % 2 == 0 && bad.Length >= 43) BitConverter.TryWriteBytes(bad, (long)bad.Length - 43);
            outcomes.Try(bad.Length, () =>
            {
                long next = 8 + BitConverter.ToInt64(bad);
                foreach (TensorEntry entry in SafetensorsHeader.Read("file", bad, bad.Length))
                {
                    Assert.That(entry.Begin, Is.EqualTo(next));
                    next = entry.End;
                }

                Assert.That(next, Is.EqualTo(bad.Length));
            });
        }

        outcomes.AssertBoth();
    }

    [Test]
    [MaxTime(10_000)]
    public void Read_DamagedIndices_GiveNamesInTheFolderOrError()
    {
        byte[] good = """{"metadata":{"total_size":123},"weight_map":{"model.a":"model-00001-of-00002.safetensors","model.b":"model-00002-of-00002.safetensors"}}"""u8.ToArray();
        Mutator mutator = new(Seed);
        Outcomes outcomes = new();
        for (int round = 0; round < 10_000; round++)
        {
            byte[] bad = mutator.Mutate(good);
            outcomes.Try(bad.Length, () =>
            {
                foreach (string shard in ShardIndex.Read("file", bad).Shards)
                    Assert.That(Path.GetDirectoryName(Path.GetFullPath(Path.Combine("/model/folder", shard))), Is.EqualTo("/model/folder"));
            });
        }

        outcomes.AssertBoth();
    }

    [Test]
    [MaxTime(10_000)]
    public void Read_DamagedConfigs_GiveSaneValuesOrError()
    {
        byte[] good = Encoding.UTF8.GetBytes("""
            {"model_type":"qwen3","architectures":["Qwen3ForCausalLM"],"hidden_size":64,"intermediate_size":96,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,
            "head_dim":16,"vocab_size":272,"max_position_embeddings":512,"hidden_act":"silu","rms_norm_eps":1e-5,"attention_bias":true,"sliding_window":null,"layer_types":["full_attention"],
            "rope_parameters":{"rope_type":"yarn","rope_theta":1e6,"factor":4,"original_max_position_embeddings":128,"mscale":1,"mscale_all_dim":1,"truncate":true},
            "eos_token_id":[2,3],"do_sample":true,"temperature":0.7,"top_k":40,"top_p":0.9}
            """);
        Mutator mutator = new(Seed);
        Outcomes outcomes = new();
        for (int round = 0; round < 10_000; round++)
        {
            byte[] bad = mutator.Mutate(good);
            outcomes.Try(bad.Length, () =>
            {
                JsonFields fields = JsonFile.ParseObject("file", bad);
                AssertSane(ConfigReader.Read(fields));
                GenerationConfig generation = GenerationConfig.Read(fields, null);
                Assert.That(generation.Temperature is >= 0 and <= 1000 && generation.TopP is > 0 and <= 1 && generation.TopK >= 0 && generation.EosTokenIds.All(id => id >= 0));
            });
        }

        outcomes.AssertBoth();
    }

    /// <summary>The same through real files, and with every byte read that the store hands out: a wrong range would fault.</summary>
    [Test]
    public void Open_DamagedFolders_OpenOrFail()
    {
        using TinyModel model = new(new TinyModelOptions { Layers = 1, Hidden = 16, Heads = 1, KvHeads = 1, FeedForward = 16, Vocabulary = 16, Shards = 2 });
        string[] files = [.. Directory.GetFiles(model.Directory, "model*").Order()];
        byte[][] good = [.. files.Select(File.ReadAllBytes)];
        Mutator mutator = new(Seed);
        Outcomes outcomes = new();
        for (int round = 0; round < 300; round++)
        {
            int damaged = round % files.Length;
            File.WriteAllBytes(files[damaged], mutator.Mutate(good[damaged]));
            outcomes.Try(good.Sum(bytes => bytes.Length), () => ReadAllTensors(model.Directory));
            File.WriteAllBytes(files[damaged], good[damaged]);
        }

        outcomes.AssertBoth();
    }

    private static void AssertSane(ModelConfig config)
    {
        RopeOptions rope = config.Rope;
        Assert.That(config.HeadDim % 16 == 0 && config.HeadDim <= 256 && config.Heads % config.KvHeads == 0 && config.KvHeads > 0);
        Assert.That((long)config.Heads * config.HeadDim <= int.MaxValue && config.HiddenSize > 0 && config.IntermediateSize > 0 && config.Layers > 0 && config.MaxPositions > 0);
        Assert.That(rope.HeadDim == config.HeadDim && rope.RotaryDim <= rope.HeadDim && rope.RotaryDim % 2 == 0 && rope.Factor >= 1 && double.IsFinite(rope.AttentionFactor) && rope.Theta > 1);
    }

    private static unsafe void ReadAllTensors(string directory)
    {
        using TensorStore store = TensorStore.Open(directory);
        foreach (string name in store.Names)
        {
            TensorView view = store.Get(name, ShapeOf(store, name));
            byte sum = 0;
            for (long i = 0; i < view.ByteLength; i++) sum += view.Data[i];
            GC.KeepAlive(sum);
        }
    }

    /// <summary>The shape that the error of a wrong one names: damage may have changed it.</summary>
    private static long[] ShapeOf(TensorStore store, string name)
    {
        ModelFormatException error = Assert.Throws<ModelFormatException>(() => store.Get(name, -1))!;
        int first = error.Message.LastIndexOf("got [", StringComparison.Ordinal) + 5;
        if (first < 5) throw error;
        string[] numbers = error.Message[first..error.Message.IndexOf(']', first)].Split(", ", StringSplitOptions.RemoveEmptyEntries);
        return [.. numbers.Select(number => long.Parse(number, System.Globalization.CultureInfo.InvariantCulture))];
    }

    private sealed class Outcomes
    {
        private int _read;
        private int _refused;

        public void Try(int fileBytes, Action read)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                read();
                _read++;
            }
            catch (ModelFormatException error)
            {
                _refused++;
                Assert.That(error.Message.AsSpan().IndexOfAnyInRange('\0', '\u001f'), Is.EqualTo(-1), "one line");
            }

            Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan((32L * fileBytes) + SlackBytes));
        }

        /// <summary>Damage that is always refused, or never, would test one half only.</summary>
        public void AssertBoth()
        {
            TestContext.Out.WriteLine($"{_read} read, {_refused} refused");
            Assert.That(_read, Is.GreaterThan(10));
            Assert.That(_refused, Is.GreaterThan(150));
        }
    }
}
