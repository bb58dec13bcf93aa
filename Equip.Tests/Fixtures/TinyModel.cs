using System.Text.Json.Nodes;
using Equip.Kernels.Numerics;
using Equip.Model.Config;
using Equip.Tests.Safetensors;

namespace Equip.Tests.Fixtures;

/// <summary>
/// A Hugging Face model folder with random weights: config.json, generation_config.json, tokenizer.json, safetensors. The
/// same options give the same bytes. Deleted by Dispose.
/// </summary>
internal sealed class TinyModel : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly Dictionary<string, (long[] Shape, float[] Values)> _tensors = [];

    public TinyModel(TinyModelOptions options)
    {
        Options = options;
        Config = MakeConfig(options);
        MakeTensors();
        _folder.Write("config.json", Config.ToJsonString());
        _folder.Write("generation_config.json", """{"bos_token_id": 0, "eos_token_id": [1], "do_sample": false}""");
        _folder.Write("tokenizer.json", TinyModelTokenizer.Json());
        WriteTensors();
    }

    public TinyModelOptions Options { get; }

    public string Directory => _folder.Path;

    /// <summary>config.json.</summary>
    public JsonObject Config { get; }

    public IEnumerable<string> TensorNames => _tensors.Keys;

    /// <summary>A tensor's values exactly as the file holds them (rounded to its dtype), row-major.</summary>
    public float[] Values(string tensor) => _tensors[tensor].Values;

    public long[] Shape(string tensor) => _tensors[tensor].Shape;

    public void Dispose() => _folder.Dispose();

    private static JsonObject MakeConfig(TinyModelOptions options)
    {
        string family = options.Family.ToString();
        JsonObject config = new()
        {
            ["architectures"] = new JsonArray($"{family}ForCausalLM"),
            ["model_type"] = family.Replace("Moe", "_moe", StringComparison.Ordinal).ToLowerInvariant(),
            ["hidden_size"] = options.Hidden,
            ["intermediate_size"] = options.FeedForward,
            ["num_hidden_layers"] = options.Layers,
            ["num_attention_heads"] = options.Heads,
            ["num_key_value_heads"] = options.KvHeads,
            ["vocab_size"] = options.Vocabulary,
            ["max_position_embeddings"] = options.MaxPositions,
            ["hidden_act"] = "silu",
            ["rms_norm_eps"] = 1e-5,
            ["tie_word_embeddings"] = options.Tied,
            ["bos_token_id"] = 0,
            ["eos_token_id"] = 1,
            ["sliding_window"] = null,
            ["torch_dtype"] = options.Type switch { DataType.F32 => "float32", DataType.F16 => "float16", _ => "bfloat16" },
        };
        if (options.HeadDim != 0) config["head_dim"] = options.HeadDim;
        if (options.RopeParameters is null) config["rope_theta"] = options.Theta;
        if (options.RopeScaling is not null) config["rope_scaling"] = options.RopeScaling.DeepClone();
        if (options.RopeParameters is not null) config["rope_parameters"] = options.RopeParameters.DeepClone();
        if (options.AttentionBias) config["attention_bias"] = true;
        if (options.MlpBias) config["mlp_bias"] = true;
        if (options.IsMixture)
        {
            bool mixtral = options.Family == ModelFamily.Mixtral;
            config[mixtral ? "num_local_experts" : "num_experts"] = options.Experts;
            config["num_experts_per_tok"] = options.ExpertsPerToken;
            if (!mixtral) config["moe_intermediate_size"] = ExpertChannels(options);
            if (!mixtral) config["norm_topk_prob"] = options.NormalizesExperts;
            if (!mixtral) config["mlp_only_layers"] = new JsonArray([.. options.DenseLayers]);
            if (options.Family == ModelFamily.Qwen2Moe) config["shared_expert_intermediate_size"] = SharedChannels(options);
        }

        return config;
    }

    private void MakeTensors()
    {
        int hidden = Options.Hidden, headDim = Options.HeadDim != 0 ? Options.HeadDim : hidden / Options.Heads;
        int queries = Options.Heads * headDim, keys = Options.KvHeads * headDim, feedForward = Options.FeedForward;
        bool inputBias = Options.AttentionBias || Options.Family is ModelFamily.Qwen2 or ModelFamily.Qwen2Moe;
        Add("model.embed_tokens.weight", 1, 0, Options.Vocabulary, hidden);
        for (int layer = 0; layer < Options.Layers; layer++)
        {
            string prefix = $"model.layers.{layer}";
            Norm($"{prefix}.input_layernorm", hidden);
            Linear($"{prefix}.self_attn.q_proj", queries, hidden, inputBias);
            Linear($"{prefix}.self_attn.k_proj", keys, hidden, inputBias);
            Linear($"{prefix}.self_attn.v_proj", keys, hidden, inputBias);
            Linear($"{prefix}.self_attn.o_proj", hidden, queries, Options.AttentionBias);
            if (Options.Family is ModelFamily.Qwen3 or ModelFamily.Qwen3Moe)
            {
                Norm($"{prefix}.self_attn.q_norm", headDim);
                Norm($"{prefix}.self_attn.k_norm", headDim);
            }

            Norm($"{prefix}.post_attention_layernorm", hidden);
            if (Options.IsMixture && !Options.DenseLayers.Contains(layer)) MakeExperts(prefix);
            else FeedForward($"{prefix}.mlp", feedForward, Options.MlpBias);
        }

        Norm("model.norm", hidden);
        if (!Options.Tied) Linear("lm_head", Options.Vocabulary, hidden, bias: false);
    }

    private static int ExpertChannels(TinyModelOptions options) => options.Family == ModelFamily.Mixtral ? options.FeedForward : options.FeedForward / 2;

    private static int SharedChannels(TinyModelOptions options) => options.FeedForward + 7;

    private void MakeExperts(string prefix)
    {
        bool mixtral = Options.Family == ModelFamily.Mixtral;
        string mlp = prefix + (mixtral ? ".block_sparse_moe" : ".mlp");
        // Logits far enough apart that float32 and double agree on who is chosen.
        Add($"{mlp}.gate.weight", 2 / MathF.Sqrt(Options.Hidden), 0, Options.Experts, Options.Hidden);
        for (int expert = 0; expert < Options.Experts; expert++)
            FeedForward($"{mlp}.experts.{expert}", ExpertChannels(Options), bias: false, mixtral ? ["w1", "w3", "w2"] : null);
        if (Options.Family != ModelFamily.Qwen2Moe) return;
        FeedForward($"{mlp}.shared_expert", SharedChannels(Options), bias: false);
        Linear($"{mlp}.shared_expert_gate", 1, Options.Hidden, bias: false);
    }

    private void FeedForward(string prefix, int channels, bool bias, string[]? names = null)
    {
        names ??= ["gate_proj", "up_proj", "down_proj"];
        Linear($"{prefix}.{names[0]}", channels, Options.Hidden, bias);
        Linear($"{prefix}.{names[1]}", channels, Options.Hidden, bias);
        Linear($"{prefix}.{names[2]}", Options.Hidden, channels, bias);
    }

    private void Norm(string name, int size) => Add($"{name}.weight", 0.05f, 1, size);

    private void Linear(string name, int rows, int columns, bool bias)
    {
        // TestData's outliers triple the deviation: a quarter of 1 / sqrt(columns) keeps activations near 1.
        Add($"{name}.weight", 0.25f / MathF.Sqrt(columns), 0, rows, columns);
        if (bias) Add($"{name}.bias", 0.05f, 0, rows);
    }

    private void Add(string name, float scale, float mean, params long[] shape)
    {
        float[] values = TestData.Random((int)shape.Aggregate((a, b) => a * b), Options.Seed + (1000 * _tensors.Count), scale);
        for (int i = 0; i < values.Length; i++) values[i] += mean;
        _tensors.Add(name, (shape, SafetensorsWriter.Decode(SafetensorsWriter.Encode(values, Options.Type), Options.Type)));
    }

    private void WriteTensors()
    {
        SafetensorsWriter[] shards = [.. Enumerable.Range(0, Options.Shards).Select(_ => new SafetensorsWriter { ExtraSpaces = Options.Misaligned ? 1 : 0 })];
        JsonObject map = [];
        long bytes = 0;
        int index = 0;
        foreach ((string name, (long[] shape, float[] values)) in _tensors)
        {
            int shard = (int)((long)index++ * shards.Length / _tensors.Count);
            shards[shard].Add(name, Options.Type, shape, values);
            map[name] = ShardName(shard);
            bytes += values.Length * Options.Type.Size();
        }

        for (int shard = 0; shard < shards.Length; shard++) _folder.Write(ShardName(shard), shards[shard].ToArray());
        if (shards.Length == 1) return;
        JsonObject file = new() { ["metadata"] = new JsonObject { ["total_size"] = bytes }, ["weight_map"] = map };
        _folder.Write("model.safetensors.index.json", file.ToJsonString());
    }

    private string ShardName(int shard) => Options.Shards == 1 ? "model.safetensors" : $"model-{shard + 1:D5}-of-{Options.Shards:D5}.safetensors";
}
