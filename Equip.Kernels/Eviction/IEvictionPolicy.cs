using Equip.Kernels.KvCache;

namespace Equip.Kernels.Eviction;

/// <summary>
/// Decides which tokens stay. One instance serves one sequence. It is asked after a layer's prompt attention (which rows enter
/// the cache), at each decode step before attention (which slot the new token takes), and, if it wants, told after attention
/// what every slot received.
/// </summary>
public interface IEvictionPolicy
{
    /// <summary>What it is.</summary>
    PolicyInfo Info { get; }

    /// <summary>Rows a head holds at most, the newest token's included; 0 if the cache grows.</summary>
    int CapacityTokens { get; }

    /// <summary>Newest tokens that a policy by scores never evicts; 0 for policies that do not choose so.</summary>
    int RecentTokens => 0;

    /// <summary>What prompt tokens see of each other.</summary>
    PromptMask Mask => default;

    /// <summary>How many of a prompt's last queries <see cref="AfterPromptLayer"/> needs; <see cref="int.MaxValue"/> for all.</summary>
    int PromptQueryTokens => 0;

    /// <summary>Whether the prompt's queries are wanted as they were before rotation.</summary>
    bool WantsUnrotatedQueries => false;

    /// <summary>Whether <see cref="AfterPromptLayer"/> needs <see cref="PromptLayer.ColumnSums"/>; not with a window in <see cref="Mask"/>.</summary>
    bool WantsColumnSums => false;

    /// <summary>Tokens of a page that suit it: few where heads hold different counts; 0 for one page of the whole budget.</summary>
    int PageTokens => 0;

    /// <summary>The parameters of a policy that scores a prompt, its defaults filled in; null for others.</summary>
    PolicyOptions? Scoring => null;

    /// <summary>Whether <see cref="Observe"/> wants the probabilities of every decode step.</summary>
    bool ObservesAttention => false;

    /// <summary>Whether <see cref="Observe"/> treats every head on its own: heads may then be shown one by one, by several threads at once.</summary>
    bool ObservesHeadsApart => false;

    /// <summary>
    /// Stores the rows that stay (<see cref="PromptLayer.Store"/>). A choice over the whole model may also drop rows of
    /// earlier layers from <paramref name="cache"/>.
    /// </summary>
    void AfterPromptLayer(PromptLayer prompt, SequenceCache cache);

    /// <summary>
    /// Chooses for each KV head of a layer the slot that the new token takes: a live slot to overwrite, or
    /// <see cref="HeadCache.NextFreeSlot"/>.
    /// </summary>
    /// <param name="heads">The layer's heads.</param>
    /// <param name="position">The new token's position in the text.</param>
    /// <param name="slots"><c>[kvHeads]</c>.</param>
    void ChooseSlots(ReadOnlySpan<HeadCache> heads, int position, Span<int> slots);

    /// <summary>Receives what every live slot of a layer's heads got from the newest token.</summary>
    void Observe(ReadOnlySpan<HeadCache> heads, int position, ColumnWeights received)
    {
    }

    /// <summary>
    /// Called in place of <see cref="Observe"/>, whether or not the policy observes, when the newest token has entered the cache without
    /// attending (Token Filtering): nothing was received, but a policy that evicts after attention still has to name its next victim.
    /// </summary>
    void ObserveNothing(ReadOnlySpan<HeadCache> heads, int position)
    {
    }
}
