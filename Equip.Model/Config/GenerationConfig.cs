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
}
