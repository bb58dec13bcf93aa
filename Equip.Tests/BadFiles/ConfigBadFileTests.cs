using System.Text.Json.Nodes;
using Equip.Model;
using Equip.Model.Config;
using Equip.Tests.Safetensors;

namespace Equip.Tests.BadFiles;

/// <summary>Broken or unsupported config.json files, each with the message that it must give.</summary>
internal sealed class ConfigBadFileTests
{
    private const string Size = "an integer from 1 to 16777216";

    [TestCase("""{"model_type":"gpt2"}""", "model_type: got 'gpt2', expected llama, mistral, qwen2, qwen3, mixtral, qwen2_moe, qwen3_moe")]
    [TestCase("""{"model_type":"LLAMA"}""", "model_type: got 'LLAMA', expected llama, mistral, qwen2, qwen3, mixtral, qwen2_moe, qwen3_moe")]
    [TestCase("""{"model_type":7}""", "model_type: got 7, expected text")]
    [TestCase("""{"model_type":null,"architectures":null}""", "architectures: missing (and no model_type), expected LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, MixtralForCausalLM, Qwen2MoeForCausalLM, Qwen3MoeForCausalLM")]
    [TestCase("""{"model_type":null,"architectures":["GemmaForCausalLM"]}""", "architectures: got 'GemmaForCausalLM', expected LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, MixtralForCausalLM, Qwen2MoeForCausalLM, Qwen3MoeForCausalLM")]
    [TestCase("""{"architectures":["MistralForCausalLM"]}""", "architectures: got 'MistralForCausalLM', expected LlamaForCausalLM")]
    [TestCase("""{"architectures":["LlamaForSequenceClassification"]}""", "architectures: got 'LlamaForSequenceClassification', expected LlamaForCausalLM")]
    [TestCase("""{"architectures":"LlamaForCausalLM"}""", "architectures: got 'LlamaForCausalLM', expected a list of texts")]
    [TestCase("""{"architectures":[1]}""", "architectures: got 1, expected a list of texts")]
    [TestCase("""{"quantization_config":{"quant_method":"gptq","bits":4}}""", "quantization_config: got quantised weights (quant_method 'gptq'), expected none: weights in f32, f16 or bf16")]
    [TestCase("""{"hidden_act":"gelu\nx"}""", "hidden_act: got 'gelu\\u000ax', expected silu")]
    [TestCase("""{"model_type":"mistral","attention_bias":true}""", "attention_bias: got true, expected false: Mistral has no such bias")]
    [TestCase("""{"model_type":"qwen3","mlp_bias":true}""", "mlp_bias: got true, expected false: Qwen3 has no such bias")]
    [TestCase("""{"torch_dtype":"float64"}""", "torch_dtype: got 'float64', expected float32, float16 or bfloat16")]
    [TestCase("""{"tie_word_embeddings":"false"}""", "tie_word_embeddings: got 'false', expected true or false")]

    [TestCase("""{"model_type":"mixtral"}""", "num_local_experts: missing, expected an integer from 1 to 4096")]
    [TestCase("""{"model_type":"mixtral","num_local_experts":4,"num_experts_per_tok":5}""", "num_experts_per_tok: got 5, expected an integer from 1 to 4")]
    [TestCase("""{"model_type":"mixtral","num_local_experts":4,"num_experts_per_tok":2,"attention_bias":true}""", "attention_bias: got true, expected false: Mixtral has no such bias")]
    [TestCase("""{"model_type":"qwen2_moe","num_experts":4,"num_experts_per_tok":2}""", $"moe_intermediate_size: missing, expected {Size}")]
    [TestCase("""{"model_type":"qwen2_moe","num_experts":4,"num_experts_per_tok":2,"moe_intermediate_size":32}""", $"shared_expert_intermediate_size: missing, expected {Size}")]
    [TestCase("""{"model_type":"qwen3_moe","num_experts":4,"num_experts_per_tok":2,"moe_intermediate_size":32,"mlp_only_layers":[2]}""", "mlp_only_layers: got 2, expected an integer from 0 to 1")]
    [TestCase("""{"hidden_size":null}""", $"hidden_size: missing, expected {Size}")]
    [TestCase("""{"hidden_size":"64"}""", $"hidden_size: got '64', expected {Size}")]
    [TestCase("""{"hidden_size":64.0}""", $"hidden_size: got 64.0, expected {Size}")]
    [TestCase("""{"hidden_size":64e0}""", $"hidden_size: got 64e0, expected {Size}")]
    [TestCase("""{"hidden_size":-64}""", $"hidden_size: got -64, expected {Size}")]
    [TestCase("""{"intermediate_size":0}""", $"intermediate_size: got 0, expected {Size}")]
    [TestCase("""{"vocab_size":4294967296}""", $"vocab_size: got 4294967296, expected {Size}")]
    [TestCase("""{"num_hidden_layers":100000}""", "num_hidden_layers: got 100000, expected an integer from 1 to 4096")]
    [TestCase("""{"max_position_embeddings":0}""", "max_position_embeddings: got 0, expected an integer from 1 to 2147483647")]
    [TestCase("""{"num_key_value_heads":3}""", "num_key_value_heads: got 3, expected a divisor of num_attention_heads (4)")]
    [TestCase("""{"num_key_value_heads":8}""", "num_key_value_heads: got 8, expected an integer from 1 to 4")]
    [TestCase("""{"num_key_value_heads":0}""", "num_key_value_heads: got 0, expected an integer from 1 to 4")]
    [TestCase("""{"num_attention_heads":5}""", "num_attention_heads: got 5, expected a divisor of hidden_size (64) because head_dim is not given")]
    [TestCase("""{"num_attention_heads":8}""", "head_dim: got 8 (hidden_size / num_attention_heads), expected a multiple of 16 up to 256")]
    [TestCase("""{"head_dim":17}""", "head_dim: got 17, expected a multiple of 16 up to 256")]
    [TestCase("""{"head_dim":512}""", "head_dim: got 512, expected a multiple of 16 up to 256")]
    [TestCase("""{"head_dim":256,"num_attention_heads":16777216}""", "num_attention_heads: got 16777216 heads of 256, expected at most 16777216 elements together")]
    [TestCase("""{"rms_norm_eps":0}""", "rms_norm_eps: got 0, expected a number from 1E-30 to 1")]
    [TestCase("""{"rms_norm_eps":"1e-5"}""", "rms_norm_eps: got '1e-5', expected a number from 1E-30 to 1")]

    [TestCase("""{"sliding_window":511}""", "sliding_window: got 511, expected null or at least max_position_embeddings (512): sliding windows are not supported")]
    [TestCase("""{"model_type":"mistral","max_position_embeddings":32768}""", "sliding_window: got 4096, expected null or at least max_position_embeddings (32768): sliding windows are not supported")]
    [TestCase("""{"model_type":"qwen2","use_sliding_window":true,"sliding_window":8,"max_window_layers":1}""", "sliding_window: got 8, expected null or at least max_position_embeddings (512): sliding windows are not supported")]
    [TestCase("""{"model_type":"qwen3","use_sliding_window":true,"sliding_window":8,"layer_types":["full_attention","sliding_attention"]}""", "sliding_window: got 8, expected null or at least max_position_embeddings (512): sliding windows are not supported")]
    [TestCase("""{"layer_types":["chunked_attention"]}""", "layer_types: got 'chunked_attention', expected full_attention")]

    [TestCase("""{"rope_theta":0}""", "rope_theta: got 0, expected a number from 2 to 1E+15")]
    [TestCase("""{"rope_theta":1e999}""", "rope_theta: got 1e999, expected a number from 2 to 1E+15")]
    [TestCase("""{"rope_scaling":"linear"}""", "rope_scaling: got 'linear', expected an object")]
    [TestCase("""{"rope_scaling":{"type":"dynamic","factor":2}}""", "rope_scaling.type: got 'dynamic', expected default, linear, llama3 or yarn")]
    [TestCase("""{"rope_scaling":{"rope_type":"longrope"}}""", "rope_scaling.rope_type: got 'longrope', expected default, linear, llama3 or yarn")]
    [TestCase("""{"rope_scaling":{"type":"mrope","mrope_section":[1]}}""", "rope_scaling.mrope_section: found, expected none: multimodal rotation is not supported")]
    [TestCase("""{"rope_scaling":{"type":"linear"}}""", "rope_scaling.factor: missing, expected a number from 1 to 1000000")]
    [TestCase("""{"rope_scaling":{"type":"yarn","factor":0.5}}""", "rope_scaling.factor: got 0.5, expected a number from 1 to 1000000")]
    [TestCase("""{"rope_scaling":{"type":"yarn","factor":4,"beta_fast":1,"beta_slow":2}}""", "rope_scaling.beta_fast: got 1, expected at least beta_slow (2)")]
    [TestCase("""{"rope_scaling":{"type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4}}""", "rope_scaling.high_freq_factor: got 4, expected more than low_freq_factor (4)")]
    [TestCase("""{"rope_parameters":{"rope_theta":"x"}}""", "rope_parameters.rope_theta: got 'x', expected a number from 2 to 1E+15")]
    [TestCase("""{"rope_parameters":{"full_attention":{"rope_theta":5},"sliding_attention":{"rope_theta":6}}}""", "rope_parameters: differ by layer type, expected the same for all")]
    [TestCase("""{"rope_parameters":{"sliding_attention":null,"full_attention":{"rope_theta":6}}}""", "rope_parameters: differ by layer type, expected the same for all")]
    [TestCase("""{"rope_parameters":{"full_attention":{"rope_type":"su"}}}""", "rope_parameters.full_attention.rope_type: got 'su', expected default, linear, llama3 or yarn")]
    [TestCase("""{"rope_parameters":{"rope_theta":5},"rope_scaling":{"type":"linear","factor":2}}""", "rope_parameters: found beside rope_scaling, expected one of them")]
    [TestCase("""{"partial_rotary_factor":0.1}""", "partial_rotary_factor: rotates 1 of 16 elements, expected an even number from 2")]
    public void Load_BrokenOrUnsupported_SaysWhatAndWhere(string changes, string message)
    {
        JsonObject config = new()
        {
            ["model_type"] = "llama",
            ["hidden_size"] = 64,
            ["intermediate_size"] = 128,
            ["num_hidden_layers"] = 2,
            ["num_attention_heads"] = 4,
            ["vocab_size"] = 100,
            ["max_position_embeddings"] = 512,
        };
        foreach ((string name, JsonNode? value) in JsonNode.Parse(changes)!.AsObject()) config[name] = value?.DeepClone();
        using TemporaryFolder folder = new();
        string path = folder.Write("config.json", config.ToJsonString());
        ModelFormatException error = Assert.Throws<ModelFormatException>(() => ModelConfig.Load(folder.Path))!;
        Assert.That(error.Message, Is.EqualTo($"{path}: {message}"));
    }

    [TestCase("{", "text: not JSON: ")]
    [TestCase("", "text: not JSON: ")]
    [TestCase("{}x", "text: not JSON: ")]
    [TestCase("[1]", "text: got a list, expected an object")]
    [TestCase("""{"a":1,"a":2}""", "text: not JSON: Duplicate")]
    [TestCase("""{"x":{"a":1,"\u0061":2}}""", "text: not JSON: Duplicate")]
    [TestCase("""{"\ud800":1}""", "text: not JSON: ")]
    [TestCase("""{"model_type":"\ud800"}""", "model_type: not Unicode text")]
    [TestCase("""{"model_type":"llama","hidden_size":"\ud800"}""", "hidden_size: got text that is not Unicode, expected an integer")]
    public void Load_NotJson_SaysSo(string text, string message)
    {
        using TemporaryFolder folder = new();
        string path = folder.Write("config.json", text);
        ModelFormatException error = Assert.Throws<ModelFormatException>(() => ModelConfig.Load(folder.Path))!;
        Assert.That(error.Message, Does.StartWith($"{path}: {message}").And.Not.Contains("\n"));
    }

    [Test]
    public void Load_NotUtf8_SaysSo()
    {
        using TemporaryFolder folder = new();
        string path = folder.Write("config.json", [.. "{\"model_type\":\""u8, 0xFF, .. "\"}"u8]);
        Assert.That(() => ModelConfig.Load(folder.Path), Throws.TypeOf<ModelFormatException>().With.Message.EqualTo($"{path}: text: not UTF-8"));
    }

    [Test]
    public void Load_Missing_SaysSo()
    {
        using TemporaryFolder folder = new();
        Assert.That(() => ModelConfig.Load(folder.Path), Throws.TypeOf<ModelFormatException>().With.Message.EqualTo($"{folder.File("config.json")}: file: not found"));
    }

    [Test]
    public void Load_FolderInItsPlace_SaysSo()
    {
        using TemporaryFolder folder = new();
        Directory.CreateDirectory(folder.File("config.json"));
        Assert.That(() => ModelConfig.Load(folder.Path), Throws.TypeOf<ModelFormatException>().With.Message.StartsWith($"{folder.File("config.json")}: file: cannot be read: "));
    }
}
