using Equip.Kernels.Memory;

namespace Equip.Kernels.Rope;

/// <summary>
/// Cosines and sines of rotations 0, 1, 2, ... for keys that are rotated while they are read: one table for all heads, layers and
/// sequences of a model, 512 bytes a rotation at headDim 128. It grows; one thread at a time.
/// </summary>
public sealed unsafe class RankAngles
{
    private NativeBuffer _buffer;

    /// <summary>Makes a table of no rotations.</summary>
    public RankAngles(RopeTable table)
    {
        ArgumentNullException.ThrowIfNull(table);
        Table = table;
        _buffer = Make(0);
    }

    /// <summary>The model's rotation.</summary>
    public RopeTable Table { get; }

    /// <summary>Rotations [0, Count) are there.</summary>
    public int Count { get; private set; }

    /// <summary>
    /// <c>[Count, 2, pairs]</c>: cosines, then sines, of each rotation, times the attention factor. Entry -1 rotates nothing: 1 and 0.
    /// </summary>
    internal float* First => (float*)_buffer.Pointer + (2L * Table.Pairs);

    /// <summary>Makes sure of rotations [0, <paramref name="count"/>).</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="count"/> is negative.</exception>
    public void Reserve(int count)
    {
        Require.InRange(count, 0, int.MaxValue);
        if (count <= Count) return;
        NativeBuffer grown = Make(count);
        _buffer.Dispose();
        _buffer = grown;
        Count = count;
    }

    private NativeBuffer Make(int count)
    {
        int pairs = Table.Pairs;
        NativeBuffer buffer = new((count + 1L) * 2 * pairs * sizeof(float));
        float* entry = (float*)buffer.Pointer;
        new Span<float>(entry, pairs).Fill(1);
        new Span<float>(entry + pairs, pairs).Clear();
        for (int rotation = 0; rotation < count; rotation++)
        {
            entry += 2 * pairs;
            Table.Fill([rotation], new Span<float>(entry, pairs), new Span<float>(entry + pairs, pairs));
        }

        return buffer;
    }
}
