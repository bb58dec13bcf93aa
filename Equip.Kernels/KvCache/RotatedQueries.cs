using Equip.Kernels.Dispatch;
using Equip.Kernels.Memory;
using Equip.Kernels.Rope;

namespace Equip.Kernels.KvCache;

/// <summary>
/// The rotated copies of a decode step's queries: a group's copy is made the first time that its KV head's runs ask for a rotation.
/// One thread at a time.
/// </summary>
/// <param name="table">The model's rotation.</param>
/// <param name="group">Query heads that share a KV head.</param>
public sealed unsafe class RotatedQueries(RopeTable table, int group) : IRotatedQueries, IDisposable
{
    private const int CopiesPerBlock = 64;

    private readonly List<NativeBuffer> _blocks = [];
    private readonly Dictionary<int, nint> _made = [];
    private readonly AngleCache _angles = new(table, deltas: false);
    private KernelContext? _context;
    private int _copies;
    private float* _queries;

    private int GroupWidth => group * table.Options.HeadDim;

    /// <summary>Starts a layer: the copies of the last one may be overwritten.</summary>
    /// <param name="context">Path and threads of the rotations to come.</param>
    public void BeginLayer(KernelContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        _context = context;
        _copies = 0;
    }

    /// <summary>Says whose queries <see cref="At"/> rotates: <c>[group, headDim]</c>, unrotated.</summary>
    public void Select(float* queries)
    {
        _queries = queries;
        _made.Clear();
    }

    /// <inheritdoc/>
    public float* At(int rotation)
    {
        if (_made.TryGetValue(rotation, out nint copy)) return (float*)copy;
        float* made = Take();
        _angles.Get(rotation, out ReadOnlySpan<float> cos, out ReadOnlySpan<float> sin);
        RopeRotation.Rotate(_context!, table, new(_queries, GroupWidth), new(made, GroupWidth), cos, sin, 1, group);
        _made[rotation] = (nint)made;
        return made;
    }

    /// <summary>Frees the copies.</summary>
    public void Dispose()
    {
        foreach (NativeBuffer block in _blocks) block.Dispose();
    }

    /// <summary>Room for one copy. Blocks never move: runs hold pointers into them until the layer ends.</summary>
    private float* Take()
    {
        int block = _copies / CopiesPerBlock, index = _copies % CopiesPerBlock;
        if (block == _blocks.Count) _blocks.Add(new NativeBuffer((long)CopiesPerBlock * GroupWidth * sizeof(float)));
        _copies++;
        return (float*)_blocks[block].Pointer + ((long)index * GroupWidth);
    }
}
