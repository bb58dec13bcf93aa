namespace Equip.Kernels.Eviction;

/// <summary>What each slot of a layer's KV heads received in one decode step: softmax probability summed over the group.</summary>
/// <param name="first">The first head's row.</param>
/// <param name="stride">Elements from one head's row to the next.</param>
public readonly unsafe struct ColumnWeights(float* first, int stride)
{
    /// <summary>The weights of a head, by slot.</summary>
    /// <param name="head">KV head.</param>
    /// <param name="capacity">Slots of that head.</param>
    public ReadOnlySpan<float> Of(int head, int capacity)
    {
        Require.InRange(capacity, 0, stride);
        return new(first + ((long)head * stride), capacity);
    }
}
