using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Rope;

namespace Equip.Kernels.KvCache.Baselines;

/// <summary>
/// What the baselines share: rows lie in order of age in one page, and with cache positions every stored key is rotated by its
/// rank, so that an eviction changes the rotation of all younger keys by -1. The query is rotated to the newest rank. Repeated
/// rotation of stored 16-bit keys drifts; that is these methods' own, and the reason why Equip does not do it.
/// </summary>
/// <param name="ranks">Cache positions; otherwise original ones, and nothing is ever rotated again.</param>
/// <param name="options">Policy and model.</param>
public abstract class OrderedStrategy(bool ranks, CacheStrategyOptions options) : CacheStrategy(ranks ? options.CapacityTokens : int.MaxValue), IParallelTask
{
    private readonly float[] _cos = new float[options.Rope.Pairs];
    private readonly float[] _sin = new float[options.Rope.Pairs];
    private HeadCache[] _heads = [];
    private int[] _slots = [];
    private float[] _keys = [];
    private float[] _values = [];
    private int _position;

    /// <inheritdoc/>
    public override bool ExtendsEvictedCache => !ranks;

    /// <summary>Whether stored keys are rotated by rank.</summary>
    protected bool Ranks => ranks;

    /// <summary>The model's rotation.</summary>
    protected RopeTable Rope => options.Rope;

    /// <summary>Heads, head dimension, cache type.</summary>
    protected AttentionShape Shape => options.Shape;

    /// <summary>Path and threads of the current call.</summary>
    protected KernelContext Context { get; private set; } = null!;

    /// <summary>Cosines of a rotation by -1.</summary>
    protected ReadOnlySpan<float> BackCos => _cos;

    /// <summary>Sines of a rotation by -1.</summary>
    protected ReadOnlySpan<float> BackSin => _sin;

    /// <inheritdoc/>
    public sealed override int KeyRotation(int position) => ranks ? Math.Min(position, options.CapacityTokens - 1) : position;

    /// <inheritdoc/>
    public override int MaxRuns(HeadCache head) => head.PageCount;

    /// <inheritdoc/>
    public override unsafe int WriteRuns(HeadCache head, int position, IRotatedQueries queries, float* columnWeights, Span<AttentionRun> runs)
        => WritePages(head, 0, head.Capacity, queries.At(KeyRotation(position)), columnWeights, runs);

    /// <inheritdoc/>
    public override unsafe void AfterPrompt(KernelContext context, ReadOnlySpan<HeadCache> heads)
    {
        if (!ranks) return;
        AngleCache deltas = new(Rope, deltas: true);
        foreach (HeadCache head in heads)
        {
            for (int slot = 0; slot < head.Count; slot++)
            {
                if (head.Rotations[slot] == slot) continue;
                deltas.Get(slot - head.Rotations[slot], out ReadOnlySpan<float> cos, out ReadOnlySpan<float> sin);
                RopeRotation.RotateStored(context, Rope, head.Key(slot), Shape.CacheType, 1, cos, sin);
                head.Rotations[slot] = slot;
            }
        }
    }

    /// <inheritdoc/>
    public sealed override void Insert(KernelContext context, ReadOnlySpan<HeadCache> heads, ReadOnlySpan<int> slots, ReadOnlySpan<float> keys, ReadOnlySpan<float> values, int position)
    {
        ArgumentNullException.ThrowIfNull(context);
        Context = context;
        Rope.FillDelta(-1, _cos, _sin);
        Copy(heads, ref _heads);
        Copy(slots, ref _slots);
        Copy(keys, ref _keys);
        Copy(values, ref _values);
        _position = position;
        context.Pool.Run(this, heads.Length);
    }

    /// <summary>One head of the current call, so that heads share the threads.</summary>
    void IParallelTask.Execute(int chunk, int worker)
    {
        HeadCache head = _heads[chunk];
        int slot = _slots[chunk], headDim = Shape.HeadDim;
        if (RankOffsets.IsLive(head, slot)) slot = MakeRoom(head, slot);
        head.Write(Context.Isa, slot, _keys.AsSpan(chunk * headDim, headDim), _values.AsSpan(chunk * headDim, headDim), _position, KeyRotation(_position));
    }

    /// <summary>Evicts a token and returns the slot for the new one.</summary>
    protected abstract int MakeRoom(HeadCache head, int victim);

    private static void Copy<T>(ReadOnlySpan<T> source, ref T[] destination)
    {
        if (destination.Length < source.Length) destination = new T[source.Length];
        source.CopyTo(destination);
    }
}
