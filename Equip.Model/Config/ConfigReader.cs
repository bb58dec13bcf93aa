using Equip.Kernels.Attention;
using Equip.Kernels.Numerics;

namespace Equip.Model.Config;

/// <summary>
/// Turns config.json into a <see cref="ModelConfig"/>. Field names and defaults are those of Transformers' configuration
/// classes, versions 4 and 5. What would change the result and is not supported is refused; all else is ignored.
/// </summary>
internal static class ConfigReader
{
    private const int MaxSize = 1 << 24;
    internal const int MaxLayers = 1 << 12;

    private static readonly (ModelFamily Family, string Type, string Architecture)[] _families =
    [
        (ModelFamily.Llama, "llama", "LlamaForCausalLM"),
        (ModelFamily.Mistral, "mistral", "MistralForCausalLM"),
        (ModelFamily.Qwen2, "qwen2", "Qwen2ForCausalLM"),
        (ModelFamily.Qwen3, "qwen3", "Qwen3ForCausalLM"),
        (ModelFamily.Mixtral, "mixtral", "MixtralForCausalLM"),
        (ModelFamily.Qwen2Moe, "qwen2_moe", "Qwen2MoeForCausalLM"),
        (ModelFamily.Qwen3Moe, "qwen3_moe", "Qwen3MoeForCausalLM"),
    ];

    public static ModelConfig Read(JsonFields fields)
    {
        ModelFamily family = ReadFamily(fields);
        RefuseUnsupported(fields, family);

        int hidden = fields.Int("hidden_size", 1, MaxSize);
        int layers = fields.Int("num_hidden_layers", 1, MaxLayers);
        int heads = fields.Int("num_attention_heads", 1, MaxSize);
        int kvHeads = fields.OptionalInt("num_key_value_heads", 1, heads) ?? heads;
        if (heads % kvHeads != 0) throw fields.Error("num_key_value_heads", $"got {kvHeads}, expected a divisor of num_attention_heads ({heads})");
        int headDim = ReadHeadDim(fields, family, hidden, heads);
        int maxPositions = fields.Int("max_position_embeddings", 1, int.MaxValue);
        RefuseSlidingWindow(fields, family, layers, maxPositions);
        bool attentionBias = fields.Bool("attention_bias", false);

        return new ModelConfig
        {
            Family = family,
            HiddenSize = hidden,
            IntermediateSize = fields.Int("intermediate_size", 1, MaxSize),
            Mixture = MixtureReader.Read(fields, family, layers, MaxSize),
            Layers = layers,
            Heads = heads,
            KvHeads = kvHeads,
            HeadDim = headDim,
            VocabularySize = fields.Int("vocab_size", 1, MaxSize),
            MaxPositions = maxPositions,
            RmsNormEpsilon = (float)(fields.OptionalNumber("rms_norm_eps", 1e-30, 1) ?? 1e-6),
            Rope = RopeReader.Read(fields, headDim, maxPositions),
            TieWordEmbeddings = fields.Bool("tie_word_embeddings", false),
            AttentionBias = IsQwen2(family) || attentionBias,
            AttentionOutputBias = !IsQwen2(family) && attentionBias,
            MlpBias = fields.Bool("mlp_bias", false),
            QkNorm = family is ModelFamily.Qwen3 or ModelFamily.Qwen3Moe,
            DataType = ReadDataType(fields),
        };
    }

    /// <summary>By model_type; architectures, if given, must name the same family's causal language model.</summary>
    private static ModelFamily ReadFamily(JsonFields fields)
    {
        string? type = fields.Text("model_type");
        string[] architectures = fields.Texts("architectures") ?? [];
        foreach ((ModelFamily family, string familyType, string architecture) in _families)
        {
            if (type is null ? !architectures.Contains(architecture) : type != familyType) continue;
            foreach (string other in architectures)
                if (other != architecture) throw fields.Error("architectures", $"got {JsonFile.Quote(other)}, expected {architecture}");
            return family;
        }

        if (type is not null) throw fields.Error("model_type", $"got {JsonFile.Quote(type)}, expected {string.Join(", ", _families.Select(f => f.Type))}");
        string found = architectures.Length == 0 ? "missing (and no model_type)" : $"got {JsonFile.Quote(architectures[0])}";
        throw fields.Error("architectures", $"{found}, expected {string.Join(", ", _families.Select(f => f.Architecture))}");
    }

    private static void RefuseUnsupported(JsonFields fields, ModelFamily family)
    {
        if (fields.Has("quantization_config"))
        {
            string method = fields.Object("quantization_config")?.Text("quant_method") is { } name ? $" (quant_method {JsonFile.Quote(name)})" : string.Empty;
            throw fields.Error("quantization_config", $"got quantised weights{method}, expected none: weights in f32, f16 or bf16");
        }

        if (fields.Text("hidden_act") is { } activation && activation != "silu")
            throw fields.Error("hidden_act", $"got {JsonFile.Quote(activation)}, expected silu");
        // Qwen2 has its q, k and v biases whatever the file says of attention_bias.
        if (family is ModelFamily.Mistral or ModelFamily.Mixtral) RefuseBias(fields, "attention_bias", family);
        if (family != ModelFamily.Llama) RefuseBias(fields, "mlp_bias", family);
    }

    private static bool IsQwen2(ModelFamily family) => family is ModelFamily.Qwen2 or ModelFamily.Qwen2Moe;

    private static void RefuseBias(JsonFields fields, string name, ModelFamily family)
    {
        if (fields.Bool(name, false)) throw fields.Error(name, $"got true, expected false: {family} has no such bias");
    }

    private static int ReadHeadDim(JsonFields fields, ModelFamily family, int hidden, int heads)
    {
        int? given = fields.OptionalInt("head_dim", 1, MaxSize);
        if (given is null && family == ModelFamily.Qwen3) given = 128;
        if (given is null && hidden % heads != 0)
            throw fields.Error("num_attention_heads", $"got {heads}, expected a divisor of hidden_size ({hidden}) because head_dim is not given");
        int headDim = given ?? hidden / heads;
        if (headDim % 16 != 0 || headDim > AttentionShape.MaxHeadDim)
            throw fields.Error("head_dim", $"got {headDim}{(given is null ? " (hidden_size / num_attention_heads)" : string.Empty)}, expected a multiple of 16 up to {AttentionShape.MaxHeadDim}");
        if ((long)heads * headDim > MaxSize) throw fields.Error("num_attention_heads", $"got {heads} heads of {headDim}, expected at most {MaxSize} elements together");
        return headDim;
    }

    /// <summary>
    /// A sliding window is not supported, so it is refused where it could ever hide a token: some layer has one and it is
    /// shorter than max_position_embeddings. Qwen has one only with use_sliding_window, in the layers from max_window_layers
    /// on or those that layer_types names; Mistral has one of 4096 in every layer unless the field is null.
    /// </summary>
    private static void RefuseSlidingWindow(JsonFields fields, ModelFamily family, int layers, int maxPositions)
    {
        bool qwen = family is ModelFamily.Qwen2 or ModelFamily.Qwen3 or ModelFamily.Qwen2Moe or ModelFamily.Qwen3Moe;
        int? window = fields.OptionalInt("sliding_window", 0, int.MaxValue);
        if (window is null && !fields.Names("sliding_window") && (qwen || family == ModelFamily.Mistral)) window = 4096;
        string[]? layerTypes = fields.Texts("layer_types");
        foreach (string layerType in layerTypes ?? [])
            if (layerType is not ("full_attention" or "sliding_attention"))
                throw fields.Error("layer_types", $"got {JsonFile.Quote(layerType)}, expected full_attention");
        int firstLayer = fields.OptionalInt("max_window_layers", 0, int.MaxValue) ?? 28;
        bool anyLayer = !qwen || (fields.Bool("use_sliding_window", false) && (layerTypes?.Contains("sliding_attention") ?? firstLayer < layers));
        if (window is null || window >= maxPositions || !anyLayer) return;
        throw fields.Error("sliding_window", $"got {window}, expected null or at least max_position_embeddings ({maxPositions}): sliding windows are not supported");
    }

    private static DataType ReadDataType(JsonFields fields)
    {
        string field = fields.Has("dtype") ? "dtype" : "torch_dtype";
        return fields.Text(field) switch
        {
            null or "float32" => DataType.F32,
            "float16" => DataType.F16,
            "bfloat16" => DataType.BF16,
            string other => throw fields.Error(field, $"got {JsonFile.Quote(other)}, expected float32, float16 or bfloat16"),
        };
    }
}
