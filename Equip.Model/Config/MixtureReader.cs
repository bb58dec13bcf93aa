namespace Equip.Model.Config;

/// <summary>The fields of config.json that describe experts. Names and defaults are those of Transformers' configuration classes.</summary>
internal static class MixtureReader
{
    private const int MaxExperts = 1 << 12;

    public static MixtureConfig? Read(JsonFields fields, ModelFamily family, int layers, int maxSize)
    {
        if (family is not (ModelFamily.Mixtral or ModelFamily.Qwen2Moe or ModelFamily.Qwen3Moe)) return null;
        bool mixtral = family == ModelFamily.Mixtral;
        string expertsField = mixtral ? "num_local_experts" : "num_experts";
        int experts = fields.Int(expertsField, 1, MaxExperts);
        return new MixtureConfig
        {
            Experts = experts,
            ExpertsPerToken = fields.Int("num_experts_per_tok", 1, experts),
            IntermediateSize = fields.Int(mixtral ? "intermediate_size" : "moe_intermediate_size", 1, maxSize),
            SharedIntermediateSize = family == ModelFamily.Qwen2Moe ? fields.Int("shared_expert_intermediate_size", 1, maxSize) : 0,
            NormalizesWeights = mixtral || fields.Bool("norm_topk_prob", false),
            Step = mixtral ? 1 : fields.OptionalInt("decoder_sparse_step", 1, int.MaxValue) ?? 1,
            DenseLayers = mixtral ? [] : fields.OptionalInts("mlp_only_layers", 0, layers - 1) ?? [],
        };
    }
}
