using System.Runtime.CompilerServices;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Linear;

/// <summary>
/// A weight matrix <c>[rows, columns]</c>, row-major, in memory that somebody else owns (a mapped file, a
/// <see cref="Memory.NativeBuffer"/>). <c>y = W x</c> has one output per row. The memory must outlive every use.
/// </summary>
public readonly unsafe struct WeightMatrix
{
    /// <summary>Values in one block of <see cref="DataType.Q8"/>.</summary>
    public const int BlockSize = 32;

    /// <summary>Describes a matrix.</summary>
    /// <param name="data">First element; aligned to the element size. For Q8 the signed integers <c>[rows, columns]</c>.</param>
    /// <param name="type">How it is stored.</param>
    /// <param name="rows">Outputs, at least 1.</param>
    /// <param name="columns">Inputs, at least 1; for Q8 a multiple of <see cref="BlockSize"/>.</param>
    /// <param name="scales">For Q8, binary16 scales <c>[rows, columns / 32]</c>; null otherwise.</param>
    /// <exception cref="ArgumentException">A pointer is null or misaligned, or a size is out of range.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public WeightMatrix(void* data, DataType type, int rows, int columns, void* scales = null)
    {
        Require.NotNull(data, nameof(data));
        Require.InRange(rows, 1, int.MaxValue);
        Require.InRange(columns, 1, int.MaxValue);
        if (((nuint)data & (nuint)(type.Size() - 1)) != 0) ThrowMisaligned(type.Size(), nameof(data));
        if (type == DataType.Q8)
        {
            Require.NotNull(scales, nameof(scales));
            Require.Multiple(columns, BlockSize);
        }

        Data = data;
        Type = type;
        Rows = rows;
        Columns = columns;
        Scales = scales;
    }

    /// <summary>The first element of row 0.</summary>
    public void* Data { get; }

    /// <summary>The binary16 scales of Q8 blocks, or null.</summary>
    public void* Scales { get; }

    /// <summary>How the elements are stored.</summary>
    public DataType Type { get; }

    /// <summary>Outputs of <c>y = W x</c>.</summary>
    public int Rows { get; }

    /// <summary>Inputs of <c>y = W x</c>.</summary>
    public int Columns { get; }

    /// <summary>Bytes read when the whole matrix is read once, scales included.</summary>
    public long Bytes => ((long)Rows * Columns * Type.Size()) + (Type == DataType.Q8 ? (long)Rows * (Columns / BlockSize) * 2 : 0);

    /// <summary>Rows [<paramref name="first"/>, <paramref name="first"/> + <paramref name="count"/>) as a matrix.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The rows are not all in this matrix.</exception>
    public WeightMatrix Slice(int first, int count)
    {
        Require.InRange(first, 0, Rows - 1);
        Require.InRange(count, 1, Rows - first);
        byte* scales = Scales == null ? null : (byte*)Scales + ((long)first * (Columns / BlockSize) * 2);
        return new WeightMatrix((byte*)Data + ((long)first * Columns * Type.Size()), Type, count, Columns, scales);
    }

    private static void ThrowMisaligned(int size, string name) => throw new ArgumentException($"{name}: address is not a multiple of {size}", name);
}
