using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Linear;

internal static unsafe partial class Gemm
{
    /// <summary>
    /// One type of element in blocks of 8 rows x 32 bytes. A block is transposed as 32-bit words whatever the type; a word then
    /// holds 1, 2 or 4 successive columns of its row.
    /// </summary>
    private interface IElement256
    {
        static abstract int PerWord { get; }

        /// <summary>Column <paramref name="index"/> of each word as float32.</summary>
        static abstract Vector256<float> Widen(Vector256<int> words, int index, float* scales);
    }

    private readonly partial struct Avx2Path
    {
        private const int Side = 8;

        public static void Pack(in PanelSource source, float* panel)
        {
            switch (source.Type)
            {
                case DataType.F32:
                    Pack<Single256>(source.Data, source.Stride, source.Rows, source.Columns, panel, null);
                    break;
                case DataType.F16:
                    Pack<Half256>(source.Data, source.Stride, source.Rows, source.Columns, panel, null);
                    break;
                case DataType.BF16:
                    Pack<BFloat256>(source.Data, source.Stride, source.Rows, source.Columns, panel, null);
                    break;
                default:
                    // The scales are a small binary16 matrix of their own, a column for 32; blocks write 32 columns of it.
                    float* scales = stackalloc float[32 * PanelRows];
                    Pack<Half256>(source.Scales, source.ScaleStride, source.Rows, source.Columns / WeightMatrix.BlockSize, scales, null);
                    Pack<Byte256>(source.Data, source.Stride, source.Rows, source.Columns, panel, scales);
                    break;
            }
        }

        private static void Pack<TElement>(byte* source, nint stride, int rows, int columns, float* panel, float* scales)
            where TElement : IElement256
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
            where TElement : IElement256
        {
            Quad(block, stride, out Vector256<float> a0, out Vector256<float> a1, out Vector256<float> a2, out Vector256<float> a3);
            Quad(block + (4 * stride), stride, out Vector256<float> b0, out Vector256<float> b1, out Vector256<float> b2, out Vector256<float> b3);
            Lanes<TElement>(a0, b0, 0, panel, scales);
            Lanes<TElement>(a1, b1, 1, panel, scales);
            Lanes<TElement>(a2, b2, 2, panel, scales);
            Lanes<TElement>(a3, b3, 3, panel, scales);
        }

        /// <summary>Transposes the two 4 x 4 squares of four rows: lane l of column j holds word 4 l + j of each row.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Quad(byte* row, nint stride, out Vector256<float> c0, out Vector256<float> c1, out Vector256<float> c2, out Vector256<float> c3)
        {
            Vector256<float> r0 = Vector256.Load((float*)row), r1 = Vector256.Load((float*)(row + stride));
            Vector256<float> r2 = Vector256.Load((float*)(row + (2 * stride))), r3 = Vector256.Load((float*)(row + (3 * stride)));
            Vector256<double> low01 = Avx.UnpackLow(r0, r1).AsDouble(), high01 = Avx.UnpackHigh(r0, r1).AsDouble();
            Vector256<double> low23 = Avx.UnpackLow(r2, r3).AsDouble(), high23 = Avx.UnpackHigh(r2, r3).AsDouble();
            c0 = Avx.UnpackLow(low01, low23).AsSingle();
            c1 = Avx.UnpackHigh(low01, low23).AsSingle();
            c2 = Avx.UnpackLow(high01, high23).AsSingle();
            c3 = Avx.UnpackHigh(high01, high23).AsSingle();
        }

        /// <summary>Joins the lanes of two quads into words j and 4 + j of 8 rows, and stores them.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Lanes<TElement>(Vector256<float> a, Vector256<float> b, int j, float* panel, float* scales)
            where TElement : IElement256
        {
            Store<TElement>(Avx.Permute2x128(a, b, 0x20), j, panel, scales);
            Store<TElement>(Avx.Permute2x128(a, b, 0x31), j + 4, panel, scales);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Store<TElement>(Vector256<float> words, int word, float* panel, float* scales)
            where TElement : IElement256
        {
            float* scale = scales + (word * TElement.PerWord / WeightMatrix.BlockSize * PanelRows);
            for (int index = 0; index < TElement.PerWord; index++)
                TElement.Widen(words.AsInt32(), index, scale).Store(panel + (((word * TElement.PerWord) + index) * PanelRows));
        }
    }

    private readonly struct Single256 : IElement256
    {
        public static int PerWord => 1;

        public static Vector256<float> Widen(Vector256<int> words, int index, float* scales) => words.AsSingle();
    }

    private readonly struct BFloat256 : IElement256
    {
        public static int PerWord => 2;

        public static Vector256<float> Widen(Vector256<int> words, int index, float* scales)
            => (index == 0 ? words << 16 : words & Vector256.Create(unchecked((int)0xFFFF0000))).AsSingle();
    }

    private readonly struct Half256 : IElement256
    {
        public static int PerWord => 2;

        // The arithmetic shift puts exponent and fraction in place with the exponent's bias 112 too small; the product mends that,
        // for subnormals too. What was infinite or NaN then has a finite exponent, and gets it set to all ones.
        public static Vector256<float> Widen(Vector256<int> words, int index, float* scales)
        {
            Vector256<int> bits = ((index == 0 ? words << 16 : words) >> 3) & Vector256.Create(unchecked((int)0x8FFFE000));
            Vector256<int> exponent = Vector256.Create(0x0F800000);
            Vector256<float> value = bits.AsSingle() * Vector256.Create(5.192296858534828e33f);
            return Vector256.ConditionalSelect(Vector256.Equals(bits & exponent, exponent).AsSingle(), (value.AsInt32() | Vector256.Create(0x7F800000)).AsSingle(), value);
        }
    }

    private readonly struct Byte256 : IElement256
    {
        public static int PerWord => 4;

        public static Vector256<float> Widen(Vector256<int> words, int index, float* scales)
            => Vector256.ConvertToSingle((words << (24 - (8 * index))) >> 24) * Vector256.Load(scales);
    }
}
