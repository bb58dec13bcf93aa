namespace Equip.Kernels.Eviction;

/// <summary>Among which rows the highest scores are chosen, and so how the budget is shared out.</summary>
public enum Allocation
{
    /// <summary>As the policy's paper has it.</summary>
    Policy,

    /// <summary>Every KV head keeps the same number.</summary>
    Head,

    /// <summary>The KV heads of a layer compete (Ada-KV, arXiv 2407.11550).</summary>
    Layer,

    /// <summary>All KV heads of all layers compete, each layer's scores divided by their sum (LaProx, arXiv 2605.07234).</summary>
    Model,

    /// <summary>All KV heads of all layers compete by their scores as they are.</summary>
    ModelRaw,
}
