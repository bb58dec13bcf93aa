using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.KvCache.Baselines;

/// <summary>The operations of x * cos + rotate_half(x) * sin.</summary>
internal enum RotationOperation
{
    /// <summary>x * cos.</summary>
    TimesCos,

    /// <summary>rotate_half(x): (-y, x) of every half-split pair (x, y).</summary>
    RotateHalf,

    /// <summary>rotate_half(x) * sin.</summary>
    TimesSin,

    /// <summary>The sum of both products.</summary>
    Add,
}

/// <summary>Rows <c>[count, headDim]</c> of one operation, in the stored type; elements that are not rotated pass through.</summary>
internal unsafe struct RotationRows
{
    public byte* Source, Destination;

    /// <summary>Add: the second summand.</summary>
    public byte* Other;

    /// <summary>Cosines or sines, <c>[count, pairs]</c>.</summary>
    public float* Table;

    public int Count, HeadDim, Pairs;
}

/// <summary>
/// RoPE as frameworks without a fused kernel compute it: four element-wise operations, each reading and writing whole tensors
/// in the stored type, so 16-bit results are rounded after each of them.
/// </summary>
internal static unsafe class UnfusedRotation
{
    private interface IOperation
    {
        static abstract bool HasTable { get; }

        static abstract bool HasOther { get; }

        /// <summary>What becomes of a pair (x, y), with the table's entry or the second summand (p, q).</summary>
        static abstract (TFloats X, TFloats Y) Apply<TLanes, TFloats, TWords>(TFloats x, TFloats y, TFloats p, TFloats q)
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct;
    }

    /// <summary>Carries one operation out on the calling thread.</summary>
    public static void Run(Isa isa, DataType type, RotationOperation operation, in RotationRows rows)
    {
        switch (type)
        {
            case DataType.F16: Run<ElementF16>(isa, operation, rows); break;
            case DataType.BF16: Run<ElementBF16>(isa, operation, rows); break;
            default: Run<ElementF32>(isa, operation, rows); break;
        }

        PassRest(rows, type.Size(), copies: operation is RotationOperation.TimesCos or RotationOperation.Add);
    }

    private static void Run<TElement>(Isa isa, RotationOperation operation, in RotationRows rows)
        where TElement : struct, IElement
    {
        switch (operation)
        {
            case RotationOperation.RotateHalf: RunColumns<TElement, Half>(isa, rows); break;
            case RotationOperation.Add: RunColumns<TElement, Sum>(isa, rows); break;
            default: RunColumns<TElement, Product>(isa, rows); break;
        }
    }

    private static void RunColumns<TElement, TOperation>(Isa isa, in RotationRows rows)
        where TElement : struct, IElement
        where TOperation : struct, IOperation
    {
        int done = 0;
        if (isa == Isa.Avx512) done = Columns<TElement, TOperation, Avx512Lanes, Vector512<float>, Vector512<uint>>(rows, done);
        if (isa != Isa.Scalar) done = Columns<TElement, TOperation, Avx2Lanes, Vector256<float>, Vector256<uint>>(rows, done);
        Columns<TElement, TOperation, ScalarLanes, float, uint>(rows, done);
    }

    /// <summary>Pairs from <paramref name="first"/> on of all rows, as far as whole vectors go; returns where it stopped.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Columns<TElement, TOperation, TLanes, TFloats, TWords>(in RotationRows rows, int first)
        where TElement : struct, IElement
        where TOperation : struct, IOperation
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        int pairs = rows.Pairs, end = pairs - ((pairs - first) % TLanes.Count), half = pairs * TElement.Size, rowBytes = rows.HeadDim * TElement.Size;
        if (end == first) return first;
        byte* source = rows.Source, other = rows.Other, destination = rows.Destination;
        float* table = rows.Table;
        for (int row = 0; row < rows.Count; row++)
        {
            for (int i = first; i < end; i += TLanes.Count)
            {
                int offset = i * TElement.Size;
                TFloats x = TElement.Load<TLanes, TFloats, TWords>(source + offset), y = TElement.Load<TLanes, TFloats, TWords>(source + half + offset), p = x, q = y;
                if (TOperation.HasTable) p = TLanes.Load(table + i);
                if (TOperation.HasOther)
                {
                    p = TElement.Load<TLanes, TFloats, TWords>(other + offset);
                    q = TElement.Load<TLanes, TFloats, TWords>(other + half + offset);
                }

                (x, y) = TOperation.Apply<TLanes, TFloats, TWords>(x, y, p, q);
                TElement.Store<TLanes, TFloats, TWords>(x, destination + offset);
                TElement.Store<TLanes, TFloats, TWords>(y, destination + half + offset);
            }

            source += rowBytes;
            destination += rowBytes;
            if (TOperation.HasTable) table += pairs;
            if (TOperation.HasOther) other += rowBytes;
        }

        return end;
    }

    /// <summary>Elements after the rotated ones: x goes through x * cos and the sum, rotate_half has none of them.</summary>
    private static void PassRest(in RotationRows rows, int size, bool copies)
    {
        long rowBytes = (long)rows.HeadDim * size, rotated = 2L * rows.Pairs * size, rest = rowBytes - rotated;
        if (rest == 0) return;
        for (long row = 0; row < rows.Count; row++)
        {
            byte* destination = rows.Destination + (row * rowBytes) + rotated;
            if (copies) Buffer.MemoryCopy(rows.Source + (row * rowBytes) + rotated, destination, rest, rest);
            else new Span<byte>(destination, (int)rest).Clear();
        }
    }

    private readonly struct Product : IOperation
    {
        public static bool HasTable => true;

        public static bool HasOther => false;

        public static (TFloats X, TFloats Y) Apply<TLanes, TFloats, TWords>(TFloats x, TFloats y, TFloats p, TFloats q)
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct => (TLanes.Multiply(x, p), TLanes.Multiply(y, p));
    }

    private readonly struct Half : IOperation
    {
        public static bool HasTable => false;

        public static bool HasOther => false;

        public static (TFloats X, TFloats Y) Apply<TLanes, TFloats, TWords>(TFloats x, TFloats y, TFloats p, TFloats q)
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct => (TLanes.Subtract(TLanes.Create(0), y), x);
    }

    private readonly struct Sum : IOperation
    {
        public static bool HasTable => false;

        public static bool HasOther => true;

        public static (TFloats X, TFloats Y) Apply<TLanes, TFloats, TWords>(TFloats x, TFloats y, TFloats p, TFloats q)
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct => (TLanes.Add(x, p), TLanes.Add(y, q));
    }
}
