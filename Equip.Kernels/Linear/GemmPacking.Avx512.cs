using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Linear;

internal static unsafe partial class Gemm
{
    /// <summary>
    /// One type of element in blocks of 16 rows x 64 bytes. A block is transposed as 32-bit words whatever the type; a word then
    /// holds 1, 2 or 4 successive columns of its row.
    /// </summary>
    private interface IElement512
    {
        static abstract int PerWord { get; }

        /// <summary>Column <paramref name="index"/> of each word as float32.</summary>
        static abstract Vector512<float> Widen(Vector512<int> words, int index, float* scales);
    }

    private readonly partial struct Avx512Path
    {
        private const int Side = 16;

        public static void Pack(in PanelSource source, float* panel)
        {
            switch (source.Type)
            {
                case DataType.F32:
                    Pack<Single512>(source.Data, source.Stride, source.Rows, source.Columns, panel, null);
                    break;
                case DataType.F16:
                    Pack<Half512>(source.Data, source.Stride, source.Rows, source.Columns, panel, null);
                    break;
                case DataType.BF16:
                    Pack<BFloat512>(source.Data, source.Stride, source.Rows, source.Columns, panel, null);
                    break;
                default:
                    // The scales are a small binary16 matrix of their own, a column for 32; blocks write 32 columns of it.
                    float* scales = stackalloc float[32 * PanelRows];
                    Pack<Half512>(source.Scales, source.ScaleStride, source.Rows, source.Columns / WeightMatrix.BlockSize, scales, null);
                    Pack<Byte512>(source.Data, source.Stride, source.Rows, source.Columns, panel, scales);
                    break;
            }
        }

        private static void Pack<TElement>(byte* source, nint stride, int rows, int columns, float* panel, float* scales)
            where TElement : IElement512
        {
            byte* edge = stackalloc byte[Side * Side * 4];
            int size = 4 / TElement.PerWord, step = Side * TElement.PerWord;
            for (int half = 0; half < PanelRows; half += Side, source += Side * stride)
            {
                int blockRows = Math.Clamp(rows - half, 0, Side);
                for (int column = 0; column < columns; column += step)
                {
                    int blockColumns = Math.Min(step, columns - column);
                    byte* block = source + (column * size);
                    bool whole = blockRows == Side && blockColumns == step;
                    if (!whole) CopyEdge(block, stride, blockRows, blockColumns * size, edge, Side);
                    float* blockScales = scales + (column / WeightMatrix.BlockSize * PanelRows) + half;
                    PackBlock<TElement>(whole ? block : edge, whole ? stride : Side * 4, panel + (column * PanelRows) + half, blockScales);
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void PackBlock<TElement>(byte* block, nint stride, float* panel, float* scales)
            where TElement : IElement512
        {
            Quad(block, stride, out Vector512<float> a0, out Vector512<float> a1, out Vector512<float> a2, out Vector512<float> a3);
            Quad(block + (4 * stride), stride, out Vector512<float> b0, out Vector512<float> b1, out Vector512<float> b2, out Vector512<float> b3);
            Quad(block + (8 * stride), stride, out Vector512<float> c0, out Vector512<float> c1, out Vector512<float> c2, out Vector512<float> c3);
            Quad(block + (12 * stride), stride, out Vector512<float> d0, out Vector512<float> d1, out Vector512<float> d2, out Vector512<float> d3);
            Lanes<TElement>(a0, b0, c0, d0, 0, panel, scales);
            Lanes<TElement>(a1, b1, c1, d1, 1, panel, scales);
            Lanes<TElement>(a2, b2, c2, d2, 2, panel, scales);
            Lanes<TElement>(a3, b3, c3, d3, 3, panel, scales);
        }

        /// <summary>Transposes the four 4 x 4 squares of four rows: lane l of column j holds word 4 l + j of each row.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Quad(byte* row, nint stride, out Vector512<float> c0, out Vector512<float> c1, out Vector512<float> c2, out Vector512<float> c3)
        {
            Vector512<float> r0 = Vector512.Load((float*)row), r1 = Vector512.Load((float*)(row + stride));
            Vector512<float> r2 = Vector512.Load((float*)(row + (2 * stride))), r3 = Vector512.Load((float*)(row + (3 * stride)));
            Vector512<double> low01 = Avx512F.UnpackLow(r0, r1).AsDouble(), high01 = Avx512F.UnpackHigh(r0, r1).AsDouble();
            Vector512<double> low23 = Avx512F.UnpackLow(r2, r3).AsDouble(), high23 = Avx512F.UnpackHigh(r2, r3).AsDouble();
            c0 = Avx512F.UnpackLow(low01, low23).AsSingle();
            c1 = Avx512F.UnpackHigh(low01, low23).AsSingle();
            c2 = Avx512F.UnpackLow(high01, high23).AsSingle();
            c3 = Avx512F.UnpackHigh(high01, high23).AsSingle();
        }

        /// <summary>Joins the lanes of four quads into words j, 4 + j, 8 + j, 12 + j of 16 rows, and stores them.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Lanes<TElement>(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d, int j, float* panel, float* scales)
            where TElement : IElement512
        {
            Vector512<float> evenAB = Avx512F.Shuffle4x128(a, b, 0x88), oddAB = Avx512F.Shuffle4x128(a, b, 0xDD);
            Vector512<float> evenCD = Avx512F.Shuffle4x128(c, d, 0x88), oddCD = Avx512F.Shuffle4x128(c, d, 0xDD);
            Store<TElement>(Avx512F.Shuffle4x128(evenAB, evenCD, 0x88), j, panel, scales);
            Store<TElement>(Avx512F.Shuffle4x128(oddAB, oddCD, 0x88), j + 4, panel, scales);
            Store<TElement>(Avx512F.Shuffle4x128(evenAB, evenCD, 0xDD), j + 8, panel, scales);
            Store<TElement>(Avx512F.Shuffle4x128(oddAB, oddCD, 0xDD), j + 12, panel, scales);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Store<TElement>(Vector512<float> words, int word, float* panel, float* scales)
            where TElement : IElement512
        {
            float* scale = scales + (word * TElement.PerWord / WeightMatrix.BlockSize * PanelRows);
            for (int index = 0; index < TElement.PerWord; index++)
                TElement.Widen(words.AsInt32(), index, scale).Store(panel + (((word * TElement.PerWord) + index) * PanelRows));
        }
    }

    private readonly struct Single512 : IElement512
    {
        public static int PerWord => 1;

        public static Vector512<float> Widen(Vector512<int> words, int index, float* scales) => words.AsSingle();
    }

    private readonly struct BFloat512 : IElement512
    {
        public static int PerWord => 2;

        public static Vector512<float> Widen(Vector512<int> words, int index, float* scales)
            => (index == 0 ? words << 16 : words & Vector512.Create(unchecked((int)0xFFFF0000))).AsSingle();
    }

    private readonly struct Half512 : IElement512
    {
        public static int PerWord => 2;

        // The arithmetic shift puts exponent and fraction in place with the exponent's bias 112 too small; the product mends that,
        // for subnormals too. What was infinite or NaN then has a finite exponent, and gets it set to all ones.
        public static Vector512<float> Widen(Vector512<int> words, int index, float* scales)
        {
            Vector512<int> bits = ((index == 0 ? words << 16 : words) >> 3) & Vector512.Create(unchecked((int)0x8FFFE000));
            Vector512<int> exponent = Vector512.Create(0x0F800000);
            Vector512<float> value = bits.AsSingle() * Vector512.Create(5.192296858534828e33f);
            return Vector512.ConditionalSelect(Vector512.Equals(bits & exponent, exponent).AsSingle(), (value.AsInt32() | Vector512.Create(0x7F800000)).AsSingle(), value);
        }
    }

    private readonly struct Byte512 : IElement512
    {
        public static int PerWord => 4;

        public static Vector512<float> Widen(Vector512<int> words, int index, float* scales)
            => Vector512.ConvertToSingle((words << (24 - (8 * index))) >> 24) * Vector512.Load(scales);
    }
}
