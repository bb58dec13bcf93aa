namespace Equip.Kernels.Rope;

/// <summary>
/// Cosines and sines of recently used rotations. A decode step asks for few distinct rotations and mostly for those of the step
/// before; computing one takes a sine and a cosine in double for every pair. Direct-mapped: a collision costs time only.
/// One thread at a time.
/// </summary>
public sealed class AngleCache
{
    private const int Entries = 2048;

    private readonly RopeTable _table;
    private readonly bool _deltas;
    private readonly float[] _values;
    private readonly int[] _rotations = new int[Entries];
    private readonly bool[] _known = new bool[Entries];

    /// <summary>Makes an empty cache.</summary>
    /// <param name="table">The model's rotation.</param>
    /// <param name="deltas">Whether rotations are further ones of already rotated rows (<see cref="RopeTable.FillDelta"/>).</param>
    public AngleCache(RopeTable table, bool deltas)
    {
        ArgumentNullException.ThrowIfNull(table);
        _table = table;
        _deltas = deltas;
        _values = new float[Entries * 2 * table.Pairs];
    }

    /// <summary>The angles of a rotation, valid until the next call.</summary>
    /// <param name="rotation">Index, or delta.</param>
    /// <param name="cos"><c>[pairs]</c>.</param>
    /// <param name="sin"><c>[pairs]</c>.</param>
    public void Get(int rotation, out ReadOnlySpan<float> cos, out ReadOnlySpan<float> sin)
    {
        int entry = rotation & (Entries - 1), pairs = _table.Pairs;
        Span<float> cosines = _values.AsSpan(entry * 2 * pairs, pairs), sines = _values.AsSpan(((entry * 2) + 1) * pairs, pairs);
        if (!_known[entry] || _rotations[entry] != rotation)
        {
            if (_deltas) _table.FillDelta(rotation, cosines, sines);
            else _table.Fill([rotation], cosines, sines);
            _rotations[entry] = rotation;
            _known[entry] = true;
        }

        cos = cosines;
        sin = sines;
    }
}
