namespace Equip.Kernels.Attention;

/// <summary>
/// Consecutive live rows of one KV head, attended with one rotated copy of its group's queries. A contiguous cache is one
/// run; sinks and window are two; pages that lie end to end are one.
/// </summary>
public unsafe struct AttentionRun
{
    /// <summary>K rows <c>[tokens, headDim]</c> in the shape's cache type.</summary>
    public void* Keys;

    /// <summary>V rows <c>[tokens, headDim]</c> in the shape's cache type.</summary>
    public void* Values;

    /// <summary>Queries <c>[group, headDim]</c>, float32, rotated for this run.</summary>
    public float* Queries;

    /// <summary>
    /// Null, or <c>[tokens]</c>: receives for every row the softmax probability summed over the group's query heads.
    /// </summary>
    public float* ColumnWeights;

    /// <summary>
    /// Null, or <c>[tokens]</c>: the rotation of every K row, which is then stored unrotated and rotated while it is read.
    /// </summary>
    public int* Ranks;

    /// <summary>Rows; 0 is allowed.</summary>
    public int Tokens;
}
