using Equip.Kernels.KvCache;

namespace Equip.Kernels.Eviction;

/// <summary>Keeps every token.</summary>
public sealed class FullPolicy : IEvictionPolicy
{
    /// <summary>The policy's row in the table.</summary>
    public static PolicyInfo Description { get; } = new()
    {
        Name = "full",
        Paper = "none: the growing cache",
        Lossy = false,
        QueryAware = false,
        ActsAtPrefill = false,
        ActsAtDecode = false,
        Positions = "original",
    };

    /// <inheritdoc/>
    public PolicyInfo Info => Description;

    /// <inheritdoc/>
    public int CapacityTokens => 0;

    /// <inheritdoc/>
    public void AfterPromptLayer(PromptLayer prompt, SequenceCache cache)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        prompt.Append();
    }

    /// <inheritdoc/>
    public void ChooseSlots(ReadOnlySpan<HeadCache> heads, int position, Span<int> slots)
    {
        for (int head = 0; head < heads.Length; head++) slots[head] = heads[head].NextFreeSlot();
    }
}
