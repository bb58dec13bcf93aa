namespace Equip.Kernels.Eviction;

/// <summary>How the attention that a row gets from the window's queries becomes one number.</summary>
public enum ColumnReduction
{
    /// <summary>As the policy has it: for LaProx <see cref="L2"/>.</summary>
    Policy,

    /// <summary>The sum (SnapKV's).</summary>
    Sum,

    /// <summary>The mean: the sum's order, another scale.</summary>
    Mean,

    /// <summary>The root of the sum of squares.</summary>
    L2,

    /// <summary>The largest.</summary>
    Max,
}
