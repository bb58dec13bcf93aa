using Equip.Kernels.Linear;
using Equip.Model.Config;

namespace Equip.Model.Transformer;

/// <summary>Takes feed-forward blocks from a source of weights, by the names that each family gives them.</summary>
internal static class FeedForwardReader
{
    /// <summary>The block of a layer without experts.</summary>
    public static FeedForwardWeights ReadBlock(IWeightSource weights, ModelConfig config, string prefix)
    {
        FeedForwardWeights block = Read(weights, config.HiddenSize, config.IntermediateSize, prefix + "gate_proj", prefix + "up_proj", prefix + "down_proj");
        return !config.MlpBias ? block : new FeedForwardWeights
        {
            Gate = block.Gate,
            Up = block.Up,
            Down = block.Down,
            GateBias = weights.Vector(prefix + "gate_proj.bias", config.IntermediateSize),
            UpBias = weights.Vector(prefix + "up_proj.bias", config.IntermediateSize),
            DownBias = weights.Vector(prefix + "down_proj.bias", config.HiddenSize),
        };
    }

    /// <summary>The experts of a layer.</summary>
    public static MixtureWeights ReadMixture(IWeightSource weights, ModelConfig config, int layer)
    {
        MixtureConfig mixture = config.Mixture!;
        bool mixtral = config.Family == ModelFamily.Mixtral;
        int hidden = config.HiddenSize;
        string prefix = $"model.layers.{layer}." + (mixtral ? "block_sparse_moe." : "mlp."), shared = prefix + "shared_expert.";
        FeedForwardWeights[] experts = new FeedForwardWeights[mixture.Experts];
        for (int i = 0; i < experts.Length; i++)
        {
            string expert = $"{prefix}experts.{i}.";
            experts[i] = mixtral
                ? Read(weights, hidden, mixture.IntermediateSize, expert + "w1", expert + "w3", expert + "w2")
                : Read(weights, hidden, mixture.IntermediateSize, expert + "gate_proj", expert + "up_proj", expert + "down_proj");
        }

        bool sharing = mixture.SharedIntermediateSize > 0;
        return new MixtureWeights
        {
            // The router decides: it is small, and keeps the precision of the file.
            Router = weights.Matrix(prefix + "gate.weight", mixture.Experts, hidden, convert: false),
            Experts = experts,
            Shared = sharing ? Read(weights, hidden, mixture.SharedIntermediateSize, shared + "gate_proj", shared + "up_proj", shared + "down_proj") : null,
            SharedGate = sharing ? weights.Matrix(prefix + "shared_expert_gate.weight", 1, hidden, convert: false) : default,
        };
    }

    private static FeedForwardWeights Read(IWeightSource weights, int hidden, int channels, string gate, string up, string down) => new()
    {
        Gate = weights.Matrix(gate + ".weight", channels, hidden, convert: true),
        Up = weights.Matrix(up + ".weight", channels, hidden, convert: true),
        Down = weights.Matrix(down + ".weight", hidden, channels, convert: true),
    };
}
