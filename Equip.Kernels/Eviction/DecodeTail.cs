namespace Equip.Kernels.Eviction;

/// <summary>What happens to new tokens after a policy has pruned the prompt.</summary>
public enum DecodeTail
{
    /// <summary>As the policy's paper has it.</summary>
    Policy,

    /// <summary>They are added; nothing further is evicted.</summary>
    Grow,

    /// <summary>They overwrite a head's oldest token that is not a sink.</summary>
    Streaming,

    /// <summary>They overwrite the token that has received least attention so far and is not recent.</summary>
    H2O,

    /// <summary>They fill a page whose tokens all went at once (<see cref="PagedEvictionPolicy"/> only).</summary>
    Pages,
}
