using Equip.Kernels.Dispatch;
using Equip.Kernels.KvCache;
using Equip.Kernels.Memory;
using Equip.Kernels.Rope;
using Equip.Model.Config;

namespace Equip.Model.Transformer;

/// <summary>
/// The rotated copies of a decode step's queries: a group's copy is made the first time that its KV head's runs ask for a rotation.
/// </summary>
internal sealed unsafe class RotatedQueries(KernelContext context, RopeTable table, ModelConfig config) : IRotatedQueries, IDisposable
{
    private const int CopiesPerBlock = 64;

    private readonly List<NativeBuffer> _blocks = [];
    private readonly Dictionary<int, nint> _made = [];
    private readonly AngleCache _angles = new(table, deltas: false);
    private readonly int _group = config.Heads / config.KvHeads;
    private int _copies;
    private float* _queries;

    private int GroupWidth => _group * config.HeadDim;

    /// <summary>Starts a layer: the copies of the last one may be overwritten.</summary>
    public void BeginLayer() => _copies = 0;

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
        RopeRotation.Rotate(context, table, new(_queries, GroupWidth), new(made, GroupWidth), cos, sin, 1, _group);
        _made[rotation] = (nint)made;
        return made;
    }

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
