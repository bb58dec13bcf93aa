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
    /// <summary>Elements of a row.</summary>
    public required int HeadDim { get; init; }

    /// <summary>Leading elements that are rotated; 0 for all. Even.</summary>
    public int RotaryDim { get; init; }

    /// <summary>The base.</summary>
    public double Theta { get; init; } = 10000;

    /// <summary>The scaling.</summary>
    public RopeType Type { get; init; }

    /// <summary>The pairs.</summary>
    public RopeLayout Layout { get; init; }

    /// <summary>Linear, llama3 and yarn: context extension factor.</summary>
    public double Factor { get; init; } = 1;

    /// <summary>llama3.</summary>
    public double LowFrequencyFactor { get; init; } = 1;

    /// <summary>llama3.</summary>
    public double HighFrequencyFactor { get; init; } = 4;

    /// <summary>llama3 and yarn: the context the model was first trained on.</summary>
    public int OriginalMaxPositions { get; init; }

    /// <summary>yarn: factor of cos and sin; 0 for 0.1 ln(factor) + 1 (with mscale fields, see RopeTable).</summary>
    public double AttentionFactor { get; init; }

    /// <summary>yarn.</summary>
    public double BetaFast { get; init; } = 32;

    /// <summary>yarn.</summary>
    public double BetaSlow { get; init; } = 1;

    /// <summary>yarn: whether the correction range is rounded outward (Transformers' <c>truncate</c>).</summary>
    public bool Truncate { get; init; } = true;
}
