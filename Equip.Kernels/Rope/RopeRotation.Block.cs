using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Rope;

/// <summary>What <see cref="RopeRotation.RotateBlock"/> needs to know of a call: path, storage, layout, angles.</summary>
internal unsafe struct BlockRotation
{
    /// <summary>Null where no key is rotated on reading; see <see cref="RankAngles.First"/>.</summary>
    public float* Angles;

    public int Pairs, HeadDim;
    public RopeLayout Layout;
    public DataType Type;
    public Isa Isa;
}

/// <content>Rotation on reading: some stored rows, wherever they lie, to float32 in first-level cache.</content>
public static unsafe partial class RopeRotation
{
    /// <summary>
    /// Widens and rotates rows, each by its own rotation; what is not rotated is widened only.
    /// </summary>
    /// <param name="rotation">Path, storage, layout, angles.</param>
    /// <param name="rows">Row pointers, <c>[count]</c>.</param>
    /// <param name="ranks"><c>[count]</c>: entries of the table of angles.</param>
    /// <param name="count">Rows.</param>
    /// <param name="destination"><c>[count, headDim]</c>.</param>
    internal static void RotateBlock(in BlockRotation rotation, byte** rows, int* ranks, int count, float* destination)
    {
        switch (rotation.Type)
        {
            case DataType.F16: RotateBlock<ElementF16>(rotation, rows, ranks, count, destination); break;
            case DataType.BF16: RotateBlock<ElementBF16>(rotation, rows, ranks, count, destination); break;
            default: RotateBlock<ElementF32>(rotation, rows, ranks, count, destination); break;
        }
    }

    private static void RotateBlock<TElement>(in BlockRotation rotation, byte** rows, int* ranks, int count, float* destination)
        where TElement : struct, IElement
    {
        if (rotation.Layout == RopeLayout.HalfSplit) RotateBlock<TElement, HalfSplit>(rotation, rows, ranks, count, destination);
        else RotateBlock<TElement, Interleaved>(rotation, rows, ranks, count, destination);
    }

    private static void RotateBlock<TElement, TLayout>(in BlockRotation rotation, byte** rows, int* ranks, int count, float* destination)
        where TElement : struct, IElement
        where TLayout : struct, ILayout
    {
        int done = 0;
        if (rotation.Isa == Isa.Avx512) done = RotateBlock<TElement, TLayout, Avx512Lanes, Vector512<float>, Vector512<uint>>(rotation, rows, ranks, count, destination, done);
        if (rotation.Isa is Isa.Avx512 or Isa.Avx2) done = RotateBlock<TElement, TLayout, Avx2Lanes, Vector256<float>, Vector256<uint>>(rotation, rows, ranks, count, destination, done);
        RotateBlock<TElement, TLayout, ScalarLanes, float, uint>(rotation, rows, ranks, count, destination, done);
        if (2 * rotation.Pairs == rotation.HeadDim) return;
        for (int row = 0; row < count; row++)
        {
            Span<float> rest = new(destination + ((long)row * rotation.HeadDim) + (2 * rotation.Pairs), rotation.HeadDim - (2 * rotation.Pairs));
            Conversion.Widen(rotation.Isa, rows[row] + (2 * rotation.Pairs * TElement.Size), rotation.Type, rest);
        }
    }

    /// <summary>Pairs from <paramref name="first"/> on, as far as whole vectors go; returns where it stopped.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int RotateBlock<TElement, TLayout, TLanes, TFloats, TWords>(in BlockRotation rotation, byte** rows, int* ranks, int count, float* destination, int first)
        where TElement : struct, IElement
        where TLayout : struct, ILayout
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        int pairs = rotation.Pairs, headDim = rotation.HeadDim, end = pairs - ((pairs - first) % TLanes.Count);
        if (end == first) return first;
        for (int row = 0; row < count; row++, destination += headDim)
        {
            byte* source = rows[row];
            float* cos = rotation.Angles + ((long)ranks[row] * 2 * pairs), sin = cos + pairs;
            int i = first;
            do
            {
                RotatePairs<TElement, ElementF32, TLayout, TLanes, TFloats, TWords>(source, (byte*)destination, TLanes.Load(cos + i), TLanes.Load(sin + i), i, pairs);
                i += TLanes.Count;
            }
            while (i < end);
        }

        return end;
    }
}
