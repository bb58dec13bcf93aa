namespace Equip.Kernels.Eviction;

/// <summary>What a policy is, for users who choose one: the row of `equip info --policies`.</summary>
public sealed record PolicyInfo
{
    /// <summary>The name on the command line.</summary>
    public required string Name { get; init; }

    /// <summary>Title and arXiv number.</summary>
    public required string Paper { get; init; }

    /// <summary>Whether tokens are lost.</summary>
    public required bool Lossy { get; init; }

    /// <summary>Whether what stays depends on the question at the prompt's end.</summary>
    public required bool QueryAware { get; init; }

    /// <summary>Whether it evicts once after the prompt.</summary>
    public required bool ActsAtPrefill { get; init; }

    /// <summary>Whether it evicts while decoding.</summary>
    public required bool ActsAtDecode { get; init; }

    /// <summary>The position conventions it works under.</summary>
    public required string Positions { get; init; }

    /// <summary>The settings it runs with unless told otherwise, and the paper's where they differ; "none" if it has none.</summary>
    public string Defaults { get; init; } = "none";

    /// <summary>What the paper leaves open and was filled in here; "none" if nothing.</summary>
    public string Guesses { get; init; } = "none";
}
