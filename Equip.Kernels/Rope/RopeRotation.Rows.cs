using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Rope;

// The one body of all entries, written over lanes (path), element (storage) and layout (which elements pair up): float32 is
// bound by loads and stores on every path, so there is nothing to block by hand.
public static unsafe partial class RopeRotation
{
    // Under this, waking the other threads costs more than they save.
    private const int LeastElementsPerChunk = 16384;

    // Rows that stay in the first-level cache while narrower vectors finish their last pairs.
    private const int TileBytes = 16384;

    private interface ILayout
    {
        static abstract void Load<TElement, TLanes, TFloats, TWords>(byte* row, int pair, int pairs, out TFloats x, out TFloats y)
            where TElement : struct, IElement
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct;

        static abstract void Store<TElement, TLanes, TFloats, TWords>(TFloats x, TFloats y, byte* row, int pair, int pairs)
            where TElement : struct, IElement
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct;
    }

    private static void Run(KernelContext context, RopeTable table, Arguments* arguments, DataType type)
    {
        arguments->HeadDim = table.Options.HeadDim;
        arguments->Pairs = table.Pairs;
        if (arguments->Chunks == 0) arguments->Chunks = Partition.Chunks(context, arguments->Units, (long)arguments->RowsPerUnit * arguments->HeadDim, LeastElementsPerChunk);
        RopeLayout layout = table.Options.Layout;
        switch (type)
        {
            case DataType.F16: RunLayout<ElementF16>(context, arguments, layout); break;
            case DataType.BF16: RunLayout<ElementBF16>(context, arguments, layout); break;
            default: RunLayout<ElementF32>(context, arguments, layout); break;
        }
    }

    private static void RunLayout<TElement>(KernelContext context, Arguments* arguments, RopeLayout layout)
        where TElement : struct, IElement
    {
        if (layout == RopeLayout.HalfSplit) RunPath<TElement, HalfSplit>(context, arguments);
        else RunPath<TElement, Interleaved>(context, arguments);
    }

    private static void RunPath<TElement, TLayout>(KernelContext context, Arguments* arguments)
        where TElement : struct, IElement
        where TLayout : struct, ILayout
    {
        switch (context.Isa)
        {
            case Isa.Avx512: context.Pool.Run(new Job<TElement, TLayout, Avx512Lanes, Vector512<float>, Vector512<uint>>(arguments), arguments->Chunks); break;
            case Isa.Avx2: context.Pool.Run(new Job<TElement, TLayout, Avx2Lanes, Vector256<float>, Vector256<uint>>(arguments), arguments->Chunks); break;
            default: context.Pool.Run(new Job<TElement, TLayout, ScalarLanes, float, uint>(arguments), arguments->Chunks); break;
        }
    }

    /// <summary>
    /// Pairs from <paramref name="first"/> on of all rows of a tile, as far as whole vectors go; returns where it stopped.
    /// Not inlined and with loops that run at least once, so that the compiler keeps the conversion constants in registers.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Rotate<TElement, TLayout, TLanes, TFloats, TWords>(in Arguments arguments, long firstUnit, long endUnit, int first)
        where TElement : struct, IElement
        where TLayout : struct, ILayout
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        int pairs = arguments.Pairs, end = pairs - ((pairs - first) % TLanes.Count);
        if (end == first) return first;
        long rowBytes = (long)arguments.HeadDim * TElement.Size, start = firstUnit * arguments.RowsPerUnit * rowBytes;
        byte* source = arguments.Source + start, destination = arguments.Destination + start;
        float* cos = arguments.Cos + (firstUnit * arguments.AnglesPerUnit), sin = arguments.Sin + (firstUnit * arguments.AnglesPerUnit);
        do
        {
            int row = arguments.RowsPerUnit;
            do
            {
                int i = first;
                do
                {
                    RotatePairs<TElement, TElement, TLayout, TLanes, TFloats, TWords>(source, destination, TLanes.Load(cos + i), TLanes.Load(sin + i), i, pairs);
                    i += TLanes.Count;
                }
                while (i < end);
                source += rowBytes;
                destination += rowBytes;
            }
            while (--row > 0);
            cos += arguments.AnglesPerUnit;
            sin += arguments.AnglesPerUnit;
        }
        while (++firstUnit < endUnit);
        return end;
    }

    /// <summary>A vector of pairs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void RotatePairs<TSource, TDestination, TLayout, TLanes, TFloats, TWords>(byte* source, byte* destination, TFloats cos, TFloats sin, int first, int pairs)
        where TSource : struct, IElement
        where TDestination : struct, IElement
        where TLayout : struct, ILayout
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        TLayout.Load<TSource, TLanes, TFloats, TWords>(source, first, pairs, out TFloats x, out TFloats y);
        TFloats rotatedX = TLanes.MultiplySubtractFrom(y, sin, TLanes.Multiply(x, cos));
        TFloats rotatedY = TLanes.MultiplyAdd(x, sin, TLanes.Multiply(y, cos));
        TLayout.Store<TDestination, TLanes, TFloats, TWords>(rotatedX, rotatedY, destination, first, pairs);
    }

    /// <summary>Units of <see cref="RowsPerUnit"/> rows that share their angles. Counts of elements; chunks are chosen by size where they are 0.</summary>
    private struct Arguments
    {
        public byte* Source, Destination;
        public float* Cos, Sin;
        public int Units, RowsPerUnit, AnglesPerUnit, HeadDim, Pairs, Chunks;
    }

    private readonly struct Job<TElement, TLayout, TLanes, TFloats, TWords> : IParallelJob
        where TElement : struct, IElement
        where TLayout : struct, ILayout
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        private readonly Arguments* _arguments;

        // Pointed to and not copied: small calls would notice.
        public Job(Arguments* arguments) => _arguments = arguments;

        private ref Arguments Arguments => ref *_arguments;

        public void Execute(int chunk, int worker)
        {
            long rowBytes = (long)Arguments.HeadDim * TElement.Size, rotatedBytes = 2L * Arguments.Pairs * TElement.Size;
            bool copies = Arguments.Source != Arguments.Destination && rotatedBytes < rowBytes;
            long unit = Partition.First(Arguments.Units, chunk, Arguments.Chunks), end = Partition.First(Arguments.Units, chunk + 1, Arguments.Chunks);
            long tile = (end - unit) * Arguments.RowsPerUnit * rowBytes <= TileBytes ? end - unit : Math.Max(1, TileBytes / (rowBytes * Arguments.RowsPerUnit));
            for (; unit < end; unit += tile)
            {
                long endUnit = Math.Min(end, unit + tile);
                int done = Rotate<TElement, TLayout, TLanes, TFloats, TWords>(Arguments, unit, endUnit, 0);
                if (TLanes.Count > Avx2Lanes.Count) done = Rotate<TElement, TLayout, Avx2Lanes, Vector256<float>, Vector256<uint>>(Arguments, unit, endUnit, done);
                if (TLanes.Count > ScalarLanes.Count) Rotate<TElement, TLayout, ScalarLanes, float, uint>(Arguments, unit, endUnit, done);
                if (copies) CopyRest(unit * Arguments.RowsPerUnit, endUnit * Arguments.RowsPerUnit, rowBytes, rotatedBytes);
            }
        }

        private void CopyRest(long row, long endRow, long rowBytes, long rotatedBytes)
        {
            for (; row < endRow; row++)
            {
                long start = (row * rowBytes) + rotatedBytes;
                Buffer.MemoryCopy(Arguments.Source + start, Arguments.Destination + start, rowBytes - rotatedBytes, rowBytes - rotatedBytes);
            }
        }
    }

    private readonly struct HalfSplit : ILayout
    {
        public static void Load<TElement, TLanes, TFloats, TWords>(byte* row, int pair, int pairs, out TFloats x, out TFloats y)
            where TElement : struct, IElement
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct
        {
            x = TElement.Load<TLanes, TFloats, TWords>(row + (pair * TElement.Size));
            y = TElement.Load<TLanes, TFloats, TWords>(row + ((pair + pairs) * TElement.Size));
        }

        public static void Store<TElement, TLanes, TFloats, TWords>(TFloats x, TFloats y, byte* row, int pair, int pairs)
            where TElement : struct, IElement
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct
        {
            TElement.Store<TLanes, TFloats, TWords>(x, row + (pair * TElement.Size));
            TElement.Store<TLanes, TFloats, TWords>(y, row + ((pair + pairs) * TElement.Size));
        }
    }

    private readonly struct Interleaved : ILayout
    {
        public static void Load<TElement, TLanes, TFloats, TWords>(byte* row, int pair, int pairs, out TFloats x, out TFloats y)
            where TElement : struct, IElement
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct => TElement.LoadPairs<TLanes, TFloats, TWords>(row + (2 * pair * TElement.Size), out x, out y);

        public static void Store<TElement, TLanes, TFloats, TWords>(TFloats x, TFloats y, byte* row, int pair, int pairs)
            where TElement : struct, IElement
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct => TElement.StorePairs<TLanes, TFloats, TWords>(x, y, row + (2 * pair * TElement.Size));
    }
}
