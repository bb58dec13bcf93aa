using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;
using Equip.Model;
using Equip.Model.Config;
using Equip.Tests.Fixtures;
using Equip.Tests.Safetensors;

namespace Equip.Tests.Config;

internal sealed class ModelConfigTests
{
    private const string Llama = """
        "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "vocab_size": 100, "max_position_embeddings": 512
        """;

    // The published config.json of each model, without the fields that nobody reads.
    private const string Llama31 = """
        {"architectures": ["LlamaForCausalLM"], "attention_bias": false, "bos_token_id": 128000, "eos_token_id": [128001, 128008, 128009], "hidden_act": "silu",
        "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama", "num_attention_heads": 32,
        "num_hidden_layers": 32, "num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
        "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
        "rope_theta": 500000.0, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 128256}
        """;

    private const string Mistral03 = """
        {"architectures": ["MistralForCausalLM"], "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 32768,
        "model_type": "mistral", "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": 1000000.0,
        "sliding_window": null, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 32768}
        """;

    private const string Qwen25 = """
        {"architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu", "hidden_size": 896, "intermediate_size": 4864, "max_position_embeddings": 32768,
        "max_window_layers": 24, "model_type": "qwen2", "num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0, "sliding_window": 4096, "tie_word_embeddings": true, "torch_dtype": "bfloat16", "use_sliding_window": false, "vocab_size": 151936}
        """;

    private const string Qwen3 = """
        {"architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "head_dim": 128, "hidden_act": "silu", "hidden_size": 1024, "intermediate_size": 3072,
        "max_position_embeddings": 40960, "max_window_layers": 28, "model_type": "qwen3", "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8,
        "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000, "sliding_window": null, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
        "use_sliding_window": false, "vocab_size": 151936}
        """;

    [Test]
    public void Load_Llama31_ReadsAll() => Assert.That(Read(Llama31), Is.EqualTo(new ModelConfig
    {
        Family = ModelFamily.Llama,
        HiddenSize = 4096,
        IntermediateSize = 14336,
        Layers = 32,
        Heads = 32,
        KvHeads = 8,
        HeadDim = 128,
        VocabularySize = 128256,
        MaxPositions = 131072,
        RmsNormEpsilon = 1e-5f,
        Rope = new RopeOptions { HeadDim = 128, Theta = 500000, Type = RopeType.Llama3, Factor = 8, LowFrequencyFactor = 1, HighFrequencyFactor = 4, OriginalMaxPositions = 8192 },
        DataType = DataType.BF16,
    }));

    [Test]
    public void Load_Mistral03_ReadsAll() => Assert.That(Read(Mistral03), Is.EqualTo(new ModelConfig
    {
        Family = ModelFamily.Mistral,
        HiddenSize = 4096,
        IntermediateSize = 14336,
        Layers = 32,
        Heads = 32,
        KvHeads = 8,
        HeadDim = 128,
        VocabularySize = 32768,
        MaxPositions = 32768,
        RmsNormEpsilon = 1e-5f,
        Rope = new RopeOptions { HeadDim = 128, Theta = 1e6 },
        DataType = DataType.BF16,
    }));

    [Test]
    public void Load_Qwen25_HasBiasOfQkvOnly() => Assert.That(Read(Qwen25), Is.EqualTo(new ModelConfig
    {
        Family = ModelFamily.Qwen2,
        HiddenSize = 896,
        IntermediateSize = 4864,
        Layers = 24,
        Heads = 14,
        KvHeads = 2,
        HeadDim = 64,
        VocabularySize = 151936,
        MaxPositions = 32768,
        RmsNormEpsilon = 1e-6f,
        Rope = new RopeOptions { HeadDim = 64, Theta = 1e6 },
        TieWordEmbeddings = true,
        AttentionBias = true,
        DataType = DataType.BF16,
    }));

    [Test]
    public void Load_Qwen3_HasQkNormAndItsOwnHeadDim() => Assert.That(Read(Qwen3), Is.EqualTo(new ModelConfig
    {
        Family = ModelFamily.Qwen3,
        HiddenSize = 1024,
        IntermediateSize = 3072,
        Layers = 28,
        Heads = 16,
        KvHeads = 8,
        HeadDim = 128,
        VocabularySize = 151936,
        MaxPositions = 40960,
        RmsNormEpsilon = 1e-6f,
        Rope = new RopeOptions { HeadDim = 128, Theta = 1e6 },
        TieWordEmbeddings = true,
        QkNorm = true,
        DataType = DataType.BF16,
    }));

    [Test]
    public void Load_DefaultModel_MatchesItsCard()
    {
        ModelConfig config = ModelConfig.Load(LanguageModel.DefaultDirectory);
        Assert.That((config.HiddenSize, config.Layers, config.Heads, config.KvHeads, config.HeadDim, config.IntermediateSize), Is.EqualTo((256, 8, 4, 2, 64, 768)));
        Assert.That((config.MaxPositions, config.VocabularySize, config.TieWordEmbeddings, config.DataType), Is.EqualTo((2048, 4096, true, DataType.BF16)));
    }

    [Test]
    public void Load_FewestFields_FillsInDefaults()
    {
        ModelConfig config = Read($$"""{ {{Llama}} }""");
        Assert.That(config, Is.EqualTo(new ModelConfig
        {
            Family = ModelFamily.Llama,
            HiddenSize = 64,
            IntermediateSize = 128,
            Layers = 2,
            Heads = 4,
            KvHeads = 4,
            HeadDim = 16,
            VocabularySize = 100,
            MaxPositions = 512,
            Rope = new RopeOptions { HeadDim = 16 },
        }));
    }

    [TestCase(""" "attention_bias": true """, true, true, false)]
    [TestCase(""" "mlp_bias": true, "unknown": {"a": [1]}, "attention_bias": null """, false, false, true)]
    public void Load_LlamaBias_IsRead(string fields, bool attention, bool output, bool mlp)
    {
        ModelConfig config = ReadLlama(fields);
        Assert.That((config.AttentionBias, config.AttentionOutputBias, config.MlpBias), Is.EqualTo((attention, output, mlp)));
    }

    [TestCase("float32", DataType.F32)]
    [TestCase("float16", DataType.F16)]
    [TestCase("bfloat16", DataType.BF16)]
    public void Load_DataType_IsReadUnderBothNames(string name, DataType type)
    {
        Assert.That(ReadLlama($"\"torch_dtype\": \"{name}\"").DataType, Is.EqualTo(type));
        Assert.That(ReadLlama($"\"dtype\": \"{name}\"").DataType, Is.EqualTo(type));
    }

    [Test]
    public void Load_ArchitecturesAlone_NameTheFamily()
        => Assert.That(Read($$"""{ {{Llama.Replace("\"model_type\": \"llama\"", "\"architectures\": [\"Qwen3ForCausalLM\"]", StringComparison.Ordinal)}} }""").HeadDim, Is.EqualTo(128));

    [TestCase("mistral", """ "sliding_window": 512 """)]
    [TestCase("mistral", """ "sliding_window": null """)]
    [TestCase("mistral", "\"x\": 1")]
    [TestCase("llama", """ "sliding_window": 512 """)]
    [TestCase("qwen2", """ "sliding_window": 8 """)]
    [TestCase("qwen2", """ "sliding_window": 8, "use_sliding_window": false """)]
    [TestCase("qwen2", """ "sliding_window": 8, "use_sliding_window": true, "max_window_layers": 2 """)]
    [TestCase("qwen3", """ "sliding_window": 8, "use_sliding_window": true, "layer_types": ["full_attention", "full_attention"] """)]
    [TestCase("qwen3", """ "sliding_window": null, "use_sliding_window": true """)]
    public void Load_WindowThatNeverHidesAToken_IsAccepted(string family, string fields)
        => Assert.That(Read($$"""{ {{Llama.Replace("llama", family, StringComparison.Ordinal)}}, {{fields}} }""").MaxPositions, Is.EqualTo(512));

    [TestCaseSource(nameof(Families))]
    public void Load_TinyModel_GivesItsOptions(ModelFamily family)
    {
        using TinyModel model = new(new TinyModelOptions { Family = family, Tied = true, Type = DataType.F16, Theta = 12345 });
        ModelConfig config = ModelConfig.Load(model.Directory);
        Assert.That((config.Family, config.HiddenSize, config.IntermediateSize, config.KvHeads), Is.EqualTo((family, 64, 96, 2)));
        Assert.That((config.TieWordEmbeddings, config.DataType, config.Rope.Theta, config.QkNorm), Is.EqualTo((true, DataType.F16, 12345, family is ModelFamily.Qwen3 or ModelFamily.Qwen3Moe)));
    }

    private static ModelFamily[] Families() => Enum.GetValues<ModelFamily>();

    private static ModelConfig ReadLlama(string fields) => Read($$"""{ {{Llama}}, {{fields}} }""");

    private static ModelConfig Read(string json)
    {
        using TemporaryFolder folder = new();
        folder.Write("config.json", json);
        return ModelConfig.Load(folder.Path);
    }
}
