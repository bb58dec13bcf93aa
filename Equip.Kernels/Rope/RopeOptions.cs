namespace Equip.Kernels.Rope;

/// <summary>Which elements of a row form a rotated pair.</summary>
public enum RopeLayout
{
    /// <summary>Element i with element i + rotaryDim / 2 (Hugging Face).</summary>
    HalfSplit,

    /// <summary>Element 2i with element 2i + 1 (Meta, GGUF).</summary>
    Interleaved,
}

/// <summary>How frequencies are scaled.</summary>
public enum RopeType
{
    /// <summary>theta^(-2i/d).</summary>
    Default,

    /// <summary>Frequencies divided by the factor.</summary>
    Linear,

    /// <summary>Llama 3: low frequencies divided by the factor, smooth between.</summary>
    Llama3,

    /// <summary>YaRN: by-part interpolation and an attention factor.</summary>
    Yarn,
}

/// <summary>Everything that determines the rotation angles.</summary>
public sealed record RopeOptions
{
    /// <summary>Elements of a row: 2 to <see cref="RopeTable.LargestHeadDim"/>.</summary>
    public required int HeadDim { get; init; }

    /// <summary>Leading elements that are rotated; 0 for all. Even (so <see cref="HeadDim"/> is even where all are).</summary>
    public int RotaryDim { get; init; }

    /// <summary>The base; over 1.</summary>
    public double Theta { get; init; } = 10000;

    /// <summary>The scaling.</summary>
    public RopeType Type { get; init; }

    /// <summary>The pairs.</summary>
    public RopeLayout Layout { get; init; }

    /// <summary>Linear, llama3 and yarn: context extension factor; positive.</summary>
    public double Factor { get; init; } = 1;

    /// <summary>llama3: wavelengths over <see cref="OriginalMaxPositions"/> / this are divided by the factor; positive.</summary>
    public double LowFrequencyFactor { get; init; } = 1;

    /// <summary>llama3: wavelengths under <see cref="OriginalMaxPositions"/> / this are kept; over <see cref="LowFrequencyFactor"/>.</summary>
    public double HighFrequencyFactor { get; init; } = 4;

    /// <summary>llama3 and yarn: the context the model was first trained on.</summary>
    public int OriginalMaxPositions { get; init; }

    /// <summary>
    /// yarn: factor of cos and sin; 0 for m(1), or m(<see cref="MScale"/>) / m(<see cref="MScaleAllDim"/>) where both are given,
    /// with m(s) = 0.1 s ln(factor) + 1, and 1 for factors up to 1.
    /// </summary>
    public double AttentionFactor { get; init; }

    /// <summary>yarn: Transformers' <c>mscale</c>; 0 if absent.</summary>
    public double MScale { get; init; }

    /// <summary>yarn: Transformers' <c>mscale_all_dim</c>; 0 if absent.</summary>
    public double MScaleAllDim { get; init; }

    /// <summary>yarn: pairs that turn more often than this over the original context are kept; positive.</summary>
    public double BetaFast { get; init; } = 32;

    /// <summary>yarn: pairs that turn less often than this over the original context are divided by the factor; positive.</summary>
    public double BetaSlow { get; init; } = 1;

    /// <summary>yarn: whether the correction range is rounded outward (Transformers' <c>truncate</c>).</summary>
    public bool Truncate { get; init; } = true;
}
