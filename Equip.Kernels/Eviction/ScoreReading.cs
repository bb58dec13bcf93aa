namespace Equip.Kernels.Eviction;

/// <summary>
/// How LaProx's score, |A[:, i]| |v_i W_O|, is read for a group of query heads h that share a KV head. Published: "the mean attention
/// weight within each query group"; which W_O stands for the group is not said. Where another <see cref="ColumnReduction"/> is asked for, it
/// takes the place of |A[:, i]|_2 (not in <see cref="Exact"/>, whose norm is implied).
/// </summary>
public enum ScoreReading
{
    /// <summary>As the policy has it: for LaProx <see cref="Joint"/>.</summary>
    Policy,

    /// <summary>|mean_h A_h[:, i]|_2 sqrt(sum_h |v_i W_O^h|_2^2): the output of the whole group.</summary>
    Joint,

    /// <summary>|mean_h A_h[:, i]|_2 mean_h |v_i W_O^h|_2.</summary>
    Mean,

    /// <summary>sum_h |A_h[:, i]|_2 |v_i W_O^h|_2: an upper bound of <see cref="Exact"/>.</summary>
    Product,

    /// <summary>|sum_h A_h[:, i] (x) v_i W_O^h|: what dropping the row changes, in the Frobenius norm.</summary>
    Exact,

    /// <summary>|mean_h A_h[:, i]|_2 |v_i sum_h W_O^h|_2.</summary>
    SummedWeights,

    /// <summary>|mean_h A_h[:, i]|_2 alone (ablation).</summary>
    Attention,

    /// <summary>|mean_h A_h[:, i]|_2 |v_i|_2 (ablation).</summary>
    Value,

    /// <summary>|mean_h A_h[:, i]|_2 |v_i|_1.</summary>
    Value1,

    /// <summary>|mean_h A_h[:, i]|_2 mean_h |v_i W_O^h|_1: CriticalKV's norm.</summary>
    Output1,

    /// <summary>max_h |A_h[:, i]|_2 |v_i W_O^h|_2.</summary>
    Max,
}
