namespace Equip.Kernels.Eviction;

/// <summary>What a row's attention is multiplied by.</summary>
internal enum ValueTerm
{
    None,

    /// <summary>|v|_1.</summary>
    Norm1,

    /// <summary>|v|_2.</summary>
    Norm2,

    /// <summary>|v W_O^h|_2, of each query head; the mean over the group under <see cref="GroupReduction.MeanAttention"/>.</summary>
    Output2,

    /// <summary>|v W_O^h|_1, likewise.</summary>
    Output1,

    /// <summary>sqrt(sum over the group of |v W_O^h|_2^2).</summary>
    JointOutput2,

    /// <summary>|v (sum over the group of W_O^h)|_2.</summary>
    SummedOutput2,
}

/// <summary>How the query heads of a group become one score.</summary>
internal enum GroupReduction
{
    /// <summary>The heads' scores are added, averaged, or the largest counts.</summary>
    Sum,
    Mean,
    Max,

    /// <summary>The attention is averaged over the group first, then reduced.</summary>
    MeanAttention,

    /// <summary>sqrt(sum over pairs of heads of [A_h, A_h'] [v W_O^h, v W_O^h']), inner products; reduction and value term are implied.</summary>
    Exact,
}

/// <summary>One member of the family of scores by window attention: column reduction x value term -> group.</summary>
internal readonly record struct ScoreRecipe(ColumnReduction Attention, GroupReduction Group, ValueTerm Value)
{
    /// <summary>SnapKV's: all that the window gives a row.</summary>
    public static ScoreRecipe AttentionSum => new(ColumnReduction.Sum, GroupReduction.Sum, ValueTerm.None);
}
