namespace Equip.Kernels.KvCache;

/// <summary>The caches of one sequence: one <see cref="HeadCache"/> for every layer and KV head, which may hold different counts.</summary>
public sealed class SequenceCache : IDisposable
{
    private readonly HeadCache[] _heads;

    /// <summary>Makes empty caches over a pool.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A count is not positive.</exception>
    public SequenceCache(PagePool pool, int layers, int kvHeads)
    {
        Require.InRange(layers, 1, int.MaxValue);
        Require.InRange(kvHeads, 1, int.MaxValue);
        Layers = layers;
        KvHeads = kvHeads;
        _heads = new HeadCache[checked(layers * kvHeads)];
        for (int i = 0; i < _heads.Length; i++) _heads[i] = new HeadCache(pool);
    }

    /// <summary>Layers.</summary>
    public int Layers { get; }

    /// <summary>KV heads of a layer.</summary>
    public int KvHeads { get; }

    /// <summary>Bytes of K and V in the pages held.</summary>
    public long Bytes
    {
        get
        {
            long bytes = 0;
            foreach (HeadCache head in _heads) bytes += head.Bytes;
            return bytes;
        }
    }

    /// <summary>Live rows, averaged over layers and heads.</summary>
    public double MeanCount
    {
        get
        {
            long rows = 0;
            foreach (HeadCache head in _heads) rows += head.Count;
            return (double)rows / _heads.Length;
        }
    }

    /// <summary>The heads of a layer.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such layer.</exception>
    public ReadOnlySpan<HeadCache> Layer(int layer) => LayerMemory(layer).Span;

    /// <summary>As <see cref="Layer"/>, to be kept.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such layer.</exception>
    public ReadOnlyMemory<HeadCache> LayerMemory(int layer)
    {
        Require.InRange(layer, 0, Layers - 1);
        return _heads.AsMemory(layer * KvHeads, KvHeads);
    }

    /// <summary>Forgets all tokens and returns the pages.</summary>
    public void Clear()
    {
        foreach (HeadCache head in _heads) head.Clear();
    }

    /// <summary>Returns the pages.</summary>
    public void Dispose() => Clear();
}
