namespace Equip.Model.Config;

/// <summary>The experts that replace the feed-forward block of some or all layers.</summary>
public sealed record MixtureConfig
{
    /// <summary>Experts of a layer.</summary>
    public required int Experts { get; init; }

    /// <summary>Experts that a token goes through.</summary>
    public required int ExpertsPerToken { get; init; }

    /// <summary>Channels of an expert.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Channels of the expert that every token goes through besides; 0 for none.</summary>
    public int SharedIntermediateSize { get; init; }

    /// <summary>Whether the weights of a token's experts are divided by their sum.</summary>
    public bool NormalizesWeights { get; init; }

    /// <summary>Layer l can have experts if l + 1 is a multiple of this.</summary>
    public int Step { get; init; } = 1;

    /// <summary>Layers that have none nevertheless.</summary>
    public IReadOnlyList<int> DenseLayers { get; init; } = [];

    /// <summary>Whether a layer has experts.</summary>
    public bool Has(int layer) => (layer + 1) % Step == 0 && !DenseLayers.Contains(layer);
}
