using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;

namespace Equip.Model.Config;

/// <summary>The families the executor runs.</summary>
public enum ModelFamily
{
    /// <summary>LlamaForCausalLM.</summary>
    Llama,

    /// <summary>MistralForCausalLM.</summary>
    Mistral,

    /// <summary>Qwen2ForCausalLM: bias on q, k and v.</summary>
    Qwen2,

    /// <summary>Qwen3ForCausalLM: RMS norm on q and k heads, explicit head_dim.</summary>
    Qwen3,

    /// <summary>MixtralForCausalLM: Mistral with experts.</summary>
    Mixtral,

    /// <summary>Qwen2MoeForCausalLM: Qwen2 with experts and a shared one.</summary>
    Qwen2Moe,

    /// <summary>Qwen3MoeForCausalLM: Qwen3 with experts.</summary>
    Qwen3Moe,
}

/// <summary>What the executor needs to know of a model: config.json, checked and with defaults filled in.</summary>
public sealed record ModelConfig
{
    /// <summary>The family.</summary>
    public required ModelFamily Family { get; init; }

    /// <summary>Width of the residual stream.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Channels of the feed-forward layers, those without experts.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>The experts of the other layers; null if there are none.</summary>
    public MixtureConfig? Mixture { get; init; }

    /// <summary>Channels of the widest block.</summary>
    internal int WidestFeedForward => Math.Max(IntermediateSize, Mixture is null ? 0 : Math.Max(Mixture.IntermediateSize, Mixture.SharedIntermediateSize));

    /// <summary>Transformer layers.</summary>
    public required int Layers { get; init; }

    /// <summary>Query heads.</summary>
    public required int Heads { get; init; }

    /// <summary>KV heads.</summary>
    public required int KvHeads { get; init; }

    /// <summary>Elements of one head's row.</summary>
    public required int HeadDim { get; init; }

    /// <summary>Tokens in the vocabulary.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>The context the model was trained for.</summary>
    public required int MaxPositions { get; init; }

    /// <summary>Epsilon of the RMS norms.</summary>
    public float RmsNormEpsilon { get; init; } = 1e-6f;

    /// <summary>The rotation.</summary>
    public required RopeOptions Rope { get; init; }

    /// <summary>Whether the output projection is the embedding matrix.</summary>
    public bool TieWordEmbeddings { get; init; }

    /// <summary>Whether q, k and v projections have a bias.</summary>
    public bool AttentionBias { get; init; }

    /// <summary>Whether the attention output projection has a bias.</summary>
    public bool AttentionOutputBias { get; init; }

    /// <summary>Whether the feed-forward projections have a bias.</summary>
    public bool MlpBias { get; init; }

    /// <summary>Whether q and k heads are RMS-normalised before rotation.</summary>
    public bool QkNorm { get; init; }

    /// <summary>The dtype that config.json names; tensors say their own.</summary>
    public DataType DataType { get; init; } = DataType.F32;

    /// <summary>Reads config.json of a model folder, as Transformers 4 or 5 writes it.</summary>
    /// <param name="directory">The folder.</param>
    /// <exception cref="ModelFormatException">
    /// The file is missing or broken, a value has the wrong type or is out of its range, or the model needs what the
    /// executor has not: another family or activation, quantised weights, another kind of RoPE, or a sliding window
    /// shorter than max_position_embeddings in any layer.
    /// </exception>
    public static ModelConfig Load(string directory)
    {
        ArgumentNullException.ThrowIfNull(directory);
        return ConfigReader.Read(JsonFile.ReadObject(Path.Combine(directory, "config.json")));
    }
}
