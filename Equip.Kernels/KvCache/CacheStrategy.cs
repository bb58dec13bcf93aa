using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;

namespace Equip.Kernels.KvCache;

/// <summary>Gives the queries of one KV head's group, rotated to any index; asked for the same index twice, it rotates once.</summary>
public interface IRotatedQueries
{
    /// <summary><c>[group, headDim]</c>, valid until the step ends.</summary>
    unsafe float* At(int rotation);
}

/// <summary>
/// How evict + insert is carried out and positions are realised: by which index a new key is rotated, where it is written, what
/// happens to the other keys, and with which rotated copy of the query each run of stored keys is attended. Only differences
/// of rotations matter (RoPE relativity), so a convention is a required offset between query and key. The base class writes in
/// place: one K and one V row per KV head into the freed slot.
/// </summary>
/// <param name="budget">
/// Live tokens of a full cache with cache positions, the newest included; <see cref="int.MaxValue"/> if ranks never matter.
/// </param>
public abstract class CacheStrategy(int budget = int.MaxValue)
{
    /// <summary>The name on the command line.</summary>
    public abstract string Name { get; }

    /// <summary>
    /// The index by which the key of the token at <paramref name="position"/> is rotated when a decode step writes it. A
    /// prompt's keys are always rotated by their positions.
    /// </summary>
    public abstract int KeyRotation(int position);

    /// <summary>
    /// Puts the new token of a layer into the slots that the policy chose.
    /// </summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="heads">The layer's KV heads.</param>
    /// <param name="slots"><c>[kvHeads]</c>: a live slot, whose token is evicted, or the next free one.</param>
    /// <param name="keys"><c>[kvHeads, headDim]</c>, rotated by <see cref="KeyRotation"/>.</param>
    /// <param name="values"><c>[kvHeads, headDim]</c>.</param>
    /// <param name="position">The token's position in the text.</param>
    public virtual void Insert(KernelContext context, ReadOnlySpan<HeadCache> heads, ReadOnlySpan<int> slots, ReadOnlySpan<float> keys, ReadOnlySpan<float> values, int position)
    {
        ArgumentNullException.ThrowIfNull(context);
        int headDim = keys.Length / heads.Length, rotation = KeyRotation(position);
        // A victim's row has not been touched since the last step: memory answers for all heads at once.
        for (int head = 0; head < heads.Length; head++) heads[head].Fetch(slots[head]);
        for (int head = 0; head < heads.Length; head++)
        {
            int row = head * headDim;
            heads[head].Write(context.Isa, slots[head], keys.Slice(row, headDim), values.Slice(row, headDim), position, rotation);
        }
    }

    /// <summary>
    /// While a prompt is streamed through a window: the index by which a token's query is rotated for the sinks, its rank.
    /// </summary>
    public int SinkQueryRotation(int position) => Math.Min(position, budget - 1);

    /// <summary>Takes up a layer after a prompt: rows lie in slots 0, 1, ... in order of age, with gaps in their positions where rows were dropped.</summary>
    public virtual void AfterPrompt(KernelContext context, ReadOnlySpan<HeadCache> heads)
    {
    }

    /// <summary>
    /// Whether a prompt that follows evictions can be attended with the stored keys as they are and one rotation a query;
    /// if not, such a prompt is fed token by token.
    /// </summary>
    public virtual bool ExtendsEvictedCache => true;

    /// <summary>Whether stored keys are unrotated. A prompt's rows are then stored as they were before rotation.</summary>
    public virtual bool StoresUnrotatedKeys => false;

    /// <summary>Whether <see cref="Attend"/> takes the place of runs: for methods that make new tensors at every step.</summary>
    public virtual bool AttendsAlone => false;

    /// <summary>Attends one sequence, where <see cref="AttendsAlone"/>.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="heads">The layer's KV heads.</param>
    /// <param name="position">The new token's position.</param>
    /// <param name="queries"><c>[heads, headDim]</c>, unrotated.</param>
    /// <param name="columnWeights">Null, or <c>[kvHeads, stride]</c>: receives by slot what every row gets.</param>
    /// <param name="stride">Elements from one KV head to the next.</param>
    /// <param name="output"><c>[heads, headDim]</c>.</param>
    public virtual unsafe void Attend(KernelContext context, ReadOnlySpan<HeadCache> heads, int position, ReadOnlySpan<float> queries, float* columnWeights, int stride, Span<float> output)
        => throw new NotSupportedException($"{Name} attends by runs");

    /// <summary>Frees what the strategy holds beside the cache.</summary>
    public virtual void Release()
    {
    }

    /// <summary>Writes the runs of a head's live rows.</summary>
    /// <param name="head">The head, the new token already in its slot.</param>
    /// <param name="position">The new token's position.</param>
    /// <param name="queries">Rotated copies of the group's queries.</param>
    /// <param name="columnWeights">Null, or <c>[capacity]</c>: by slot, where the runs put what every row receives.</param>
    /// <param name="runs">Receives the runs; see <see cref="MaxRuns"/>.</param>
    /// <returns>How many runs were written.</returns>
    public abstract unsafe int WriteRuns(HeadCache head, int position, IRotatedQueries queries, float* columnWeights, Span<AttentionRun> runs);

    /// <summary>The most runs that <see cref="WriteRuns"/> can write for a head.</summary>
    public abstract int MaxRuns(HeadCache head);

    /// <summary>
    /// Writes slots [<paramref name="first"/>, <paramref name="end"/>) as runs with one query, pages that lie end to end as one;
    /// <paramref name="ranks"/> by slot, if keys are rotated on reading.
    /// </summary>
    private protected static unsafe int WritePages(HeadCache head, int first, int end, float* queries, float* columnWeights, Span<AttentionRun> runs, int* ranks = null)
    {
        int written = 0, pageTokens = head.PageTokens, rowBytes = head.RowBytes;
        ReadOnlySpan<nint> pages = head.Pages;
        ReadOnlySpan<int> live = head.LiveInPages;
        byte* behind = null;
        for (int page = first / pageTokens, start = page * pageTokens; page < pages.Length && start < end; page++, start += pageTokens)
        {
            int from = Math.Max(first, start), tokens = Math.Min(end, start + live[page]) - from;
            if (tokens <= 0)
            {
                behind = null;
                continue;
            }

            byte* keys = (byte*)pages[page] + ((long)(from - start) * rowBytes);
            // Only behind a full page: then V rows, and all that goes by slot, follow as well.
            if (keys == behind) runs[written - 1].Tokens += tokens;
            else
            {
                runs[written++] = new AttentionRun
                {
                    Keys = keys,
                    Values = keys + head.ValueOffset,
                    Queries = queries,
                    ColumnWeights = columnWeights == null ? null : columnWeights + from,
                    Ranks = ranks == null ? null : ranks + from,
                    Tokens = tokens,
                };
            }

            behind = keys + ((long)tokens * rowBytes);
        }

        return written;
    }
}
