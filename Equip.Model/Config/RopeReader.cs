using Equip.Kernels.Rope;

namespace Equip.Model.Config;

/// <summary>
/// The rotation, from Transformers 4's rope_theta and rope_scaling or Transformers 5's rope_parameters. A value inside the
/// object comes before the same field beside it, as in Transformers; only original_max_position_embeddings is the other way round.
/// </summary>
internal static class RopeReader
{
    private const double MaxFactor = 1e6;

    public static RopeOptions Read(JsonFields config, int headDim, int maxPositions)
    {
        if (config.Has("rope_scaling") && config.Has("rope_parameters"))
            throw config.Error("rope_parameters", "found beside rope_scaling, expected one of them");
        JsonFields? parameters = Uniform(config, "rope_scaling") ?? Uniform(config, "rope_parameters");
        JsonFields rope = parameters ?? config;
        RopeOptions common = new()
        {
            HeadDim = headDim,
            RotaryDim = ReadRotaryDim(config, rope, headDim),
            Theta = rope.OptionalNumber("rope_theta", 2, 1e15) ?? config.OptionalNumber("rope_theta", 2, 1e15) ?? 10000,
        };
        if (parameters is null) return common;
        if (rope.Has("mrope_section")) throw rope.Error("mrope_section", "found, expected none: multimodal rotation is not supported");

        string field = rope.Has("rope_type") ? "rope_type" : "type";
        switch (rope.Text(field))
        {
            case null or "default":
                return common;
            case "linear":
                return common with { Type = RopeType.Linear, Factor = rope.Number("factor", 1, MaxFactor) };
            case "llama3":
                return ReadLlama3(config, rope, common, maxPositions);
            case "yarn":
                return ReadYarn(config, rope, common, maxPositions);
            case string other:
                throw rope.Error(field, $"got {JsonFile.Quote(other)}, expected default, linear, llama3 or yarn");
        }
    }

    /// <summary>Parameters nested by layer type are one set if all layer types have the same.</summary>
    private static JsonFields? Uniform(JsonFields config, string name)
    {
        JsonFields? parameters = config.Object(name);
        if (parameters?.Nested() is not var (first, same)) return parameters;
        if (!same) throw config.Error(name, "differ by layer type, expected the same for all");
        return first;
    }

    private static int ReadRotaryDim(JsonFields config, JsonFields rope, int headDim)
    {
        double? inside = rope.OptionalNumber("partial_rotary_factor", 0, 1);
        double factor = inside ?? config.OptionalNumber("partial_rotary_factor", 0, 1) ?? 1;
        int rotaryDim = (int)(headDim * factor);
        if (rotaryDim < 2 || rotaryDim % 2 != 0)
            throw (inside is null ? config : rope).Error("partial_rotary_factor", $"rotates {rotaryDim} of {headDim} elements, expected an even number from 2");
        return rotaryDim == headDim ? 0 : rotaryDim;
    }

    private static RopeOptions ReadLlama3(JsonFields config, JsonFields rope, RopeOptions common, int maxPositions)
    {
        double low = rope.Number("low_freq_factor", 1e-3, MaxFactor);
        double high = rope.Number("high_freq_factor", 1e-3, MaxFactor);
        if (high <= low) throw rope.Error("high_freq_factor", $"got {high:R}, expected more than low_freq_factor ({low:R})");
        return common with
        {
            Type = RopeType.Llama3,
            Factor = rope.Number("factor", 1, MaxFactor),
            LowFrequencyFactor = low,
            HighFrequencyFactor = high,
            OriginalMaxPositions = OriginalMaxPositions(config, rope, maxPositions),
        };
    }

    private static RopeOptions ReadYarn(JsonFields config, JsonFields rope, RopeOptions common, int maxPositions)
    {
        double factor = rope.Number("factor", 1, MaxFactor);
        double fast = NonZero(rope.OptionalNumber("beta_fast", 0, MaxFactor)) ?? 32;
        double slow = NonZero(rope.OptionalNumber("beta_slow", 0, MaxFactor)) ?? 1;
        if (fast < slow) throw rope.Error("beta_fast", $"got {fast:R}, expected at least beta_slow ({slow:R})");

        // DeepSeek's pair of mscale fields: the ratio of two attention factors. As in Transformers, it counts only if both are set.
        double? attention = rope.OptionalNumber("attention_factor", 1e-6, MaxFactor);
        double? scale = NonZero(rope.OptionalNumber("mscale", 0, MaxFactor));
        double? scaleAllDim = NonZero(rope.OptionalNumber("mscale_all_dim", 0, MaxFactor));
        if (attention is null && scale is { } m && scaleAllDim is { } all)
            attention = ((0.1 * m * Math.Log(factor)) + 1) / ((0.1 * all * Math.Log(factor)) + 1);
        return common with
        {
            Type = RopeType.Yarn,
            Factor = factor,
            BetaFast = fast,
            BetaSlow = slow,
            AttentionFactor = attention ?? 0,
            Truncate = rope.Bool("truncate", true),
            OriginalMaxPositions = OriginalMaxPositions(config, rope, maxPositions),
        };
    }

    private static double? NonZero(double? value) => value == 0 ? null : value;

    private static int OriginalMaxPositions(JsonFields config, JsonFields rope, int maxPositions)
        => config.OptionalInt("original_max_position_embeddings", 1, int.MaxValue)
            ?? rope.OptionalInt("original_max_position_embeddings", 1, int.MaxValue)
            ?? maxPositions;
}
