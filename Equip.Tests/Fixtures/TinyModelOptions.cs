using System.Text.Json.Nodes;
using Equip.Kernels.Numerics;
using Equip.Model.Config;

namespace Equip.Tests.Fixtures;

/// <summary>What a <see cref="TinyModel"/> looks like. The defaults are small but use every part: several layers, groups of query heads.</summary>
internal sealed record TinyModelOptions
{
    public ModelFamily Family { get; init; } = ModelFamily.Llama;

    public int Hidden { get; init; } = 64;

    public int Layers { get; init; } = 2;

    public int Heads { get; init; } = 4;

    public int KvHeads { get; init; } = 2;

    /// <summary>Written as head_dim; 0 to leave it out.</summary>
    public int HeadDim { get; init; } = 16;

    public int FeedForward { get; init; } = 96;

    /// <summary>At least <see cref="TinyModelTokenizer.Tokens"/>, so that the tokenizer's ids are all in it.</summary>
    public int Vocabulary { get; init; } = 272;

    public int MaxPositions { get; init; } = 512;

    public double Theta { get; init; } = 10000;

    /// <summary>rope_scaling of Transformers 4, such as {"rope_type": "linear", "factor": 2}.</summary>
    public JsonObject? RopeScaling { get; init; }

    /// <summary>rope_parameters of Transformers 5, which then also holds the theta.</summary>
    public JsonObject? RopeParameters { get; init; }

    /// <summary>Llama and Qwen3: bias of q, k, v and o. Qwen2 always has one of q, k and v.</summary>
    public bool AttentionBias { get; init; }

    /// <summary>Llama.</summary>
    public bool MlpBias { get; init; }

    /// <summary>Experts of the families that have them.</summary>
    public int Experts { get; init; } = 5;

    public int ExpertsPerToken { get; init; } = 2;

    /// <summary>Qwen's norm_topk_prob.</summary>
    public bool NormalizesExperts { get; init; }

    /// <summary>Qwen's mlp_only_layers.</summary>
    public int[] DenseLayers { get; init; } = [];

    public bool Tied { get; init; }

    /// <summary>Whether the family has experts.</summary>
    public bool IsMixture => Family is ModelFamily.Mixtral or ModelFamily.Qwen2Moe or ModelFamily.Qwen3Moe;

    public DataType Type { get; init; } = DataType.F32;

    /// <summary>Files; more than one are written with an index.</summary>
    public int Shards { get; init; } = 1;

    /// <summary>Puts every tensor at an odd file offset.</summary>
    public bool Misaligned { get; init; }

    public int Seed { get; init; } = TestData.Seed;
}
