using Equip.Kernels.Linear;
using Equip.Model.Pruning;

namespace Equip.Model.Transformer;

/// <summary>One gated feed-forward block: a layer's, or that of one expert. Matrices are <c>[outputs, inputs]</c>.</summary>
internal sealed class FeedForwardWeights
{
    public required WeightMatrix Gate { get; init; }            // [channels, hidden]

    public required WeightMatrix Up { get; init; }              // [channels, hidden]

    public required WeightMatrix Down { get; init; }            // [hidden, channels]

    public float[]? GateBias { get; init; }

    public float[]? UpBias { get; init; }

    public float[]? DownBias { get; init; }

    public int Channels => Gate.Rows;

    public long Bytes => Gate.Bytes + Up.Bytes + Down.Bytes;

    /// <summary>What channel pruning needs besides; made when it is first asked for.</summary>
    public ChannelWeights? ForPruning { get; set; }
}

/// <summary>A mixture of experts in place of a layer's feed-forward block. Router logits are a row each.</summary>
internal sealed class MixtureWeights
{
    public required WeightMatrix Router { get; init; }          // [experts, hidden]

    public required FeedForwardWeights[] Experts { get; init; }

    /// <summary>The expert that every token goes through, besides the chosen ones; qwen2-moe.</summary>
    public FeedForwardWeights? Shared { get; init; }

    /// <summary>Its output is weighed by the sigmoid of this row's product.</summary>
    public WeightMatrix SharedGate { get; init; }               // [1, hidden]
}
