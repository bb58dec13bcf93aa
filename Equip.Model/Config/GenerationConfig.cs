namespace Equip.Model.Config;

/// <summary>generation_config.json: how the model's makers sample, and where it stops.</summary>
public sealed record GenerationConfig
{
    /// <summary>The token that starts a sequence, if any.</summary>
    public int? BosTokenId { get; init; }

    /// <summary>The tokens that end one.</summary>
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];

    /// <summary>Sample instead of taking the most likely token.</summary>
    public bool DoSample { get; init; }

    /// <summary>Temperature.</summary>
    public float Temperature { get; init; } = 1;

    /// <summary>Tokens to sample from; 0 for all.</summary>
    public int TopK { get; init; }

    /// <summary>Probability mass to sample from.</summary>
    public float TopP { get; init; } = 1;

    /// <summary>
    /// Reads generation_config.json of a model folder. A folder without one gets this record's defaults. Token ids that it
    /// does not give are those of config.json.
    /// </summary>
    /// <param name="directory">The folder.</param>
    /// <exception cref="ModelFormatException">A file is broken, or a value has the wrong type or is out of its range.</exception>
    public static GenerationConfig Load(string directory)
    {
        ArgumentNullException.ThrowIfNull(directory);
        return Read(ReadIfThere(directory, "generation_config.json"), ReadIfThere(directory, "config.json"));
    }

    internal static GenerationConfig Read(JsonFields? own, JsonFields? model) => new()
    {
        BosTokenId = own?.OptionalInt("bos_token_id", 0, int.MaxValue) ?? model?.OptionalInt("bos_token_id", 0, int.MaxValue),
        EosTokenIds = own?.OptionalInts("eos_token_id", 0, int.MaxValue) ?? model?.OptionalInts("eos_token_id", 0, int.MaxValue) ?? [],
        DoSample = own?.Bool("do_sample", false) ?? false,
        Temperature = (float)(own?.OptionalNumber("temperature", 0, 1000) ?? 1),
        TopK = own?.OptionalInt("top_k", 0, int.MaxValue) ?? 0,
        TopP = (float)(own?.OptionalNumber("top_p", 1e-6, 1) ?? 1),
    };

    private static JsonFields? ReadIfThere(string directory, string name)
    {
        string path = Path.Combine(directory, name);
        return File.Exists(path) ? JsonFile.ReadObject(path) : null;
    }
}
