using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Equip.Kernels.Linear;

internal static unsafe partial class Gemm
{
    /// <summary>Tiles of 6 inputs x 16 rows: 12 sums, two weight vectors and one broadcast input fill 15 of 16 registers.</summary>
    private readonly partial struct Avx2Path : IGemmPath
    {
        public static int PanelRows => 16;

        public static int TileBatch => 6;

        public static void Multiply(in GemmTile tile, int count)
        {
            switch (count)
            {
                case 1: Multiply<Count1>(tile); break;
                case 2: Multiply<Count2>(tile); break;
                case 3: Multiply<Count3>(tile); break;
                case 4: Multiply<Count4>(tile); break;
                case 5: Multiply<Count5>(tile); break;
                case 6: Multiply<Count6>(tile); break;
            }
        }

        private static void Multiply<TCount>(in GemmTile tile)
            where TCount : ICount
        {
            Vector256<float> a0 = default, b0 = default;
            Vector256<float> a1 = default, b1 = default;
            Vector256<float> a2 = default, b2 = default;
            Vector256<float> a3 = default, b3 = default;
            Vector256<float> a4 = default, b4 = default;
            Vector256<float> a5 = default, b5 = default;
            float* x = tile.Input, panel = tile.Panel;
            for (int column = 0; column < tile.Depth;)
            {
                tile.Fetch(column, TCount.Value, PanelRows);
                int end = Math.Min(column + 16, tile.Depth);
                // Four columns a turn: the loop's own instructions compete with the multiply-adds for issue slots.
                for (; column + 4 <= end; column += 4, x += 4, panel += 4 * PanelRows)
                {
                    AddColumn<TCount>(x, panel, 0, ref a0, ref b0, ref a1, ref b1, ref a2, ref b2, ref a3, ref b3, ref a4, ref b4, ref a5, ref b5);
                    AddColumn<TCount>(x, panel, 1, ref a0, ref b0, ref a1, ref b1, ref a2, ref b2, ref a3, ref b3, ref a4, ref b4, ref a5, ref b5);
                    AddColumn<TCount>(x, panel, 2, ref a0, ref b0, ref a1, ref b1, ref a2, ref b2, ref a3, ref b3, ref a4, ref b4, ref a5, ref b5);
                    AddColumn<TCount>(x, panel, 3, ref a0, ref b0, ref a1, ref b1, ref a2, ref b2, ref a3, ref b3, ref a4, ref b4, ref a5, ref b5);
                }

                for (; column < end; column++, x++, panel += PanelRows)
                    AddColumn<TCount>(x, panel, 0, ref a0, ref b0, ref a1, ref b1, ref a2, ref b2, ref a3, ref b3, ref a4, ref b4, ref a5, ref b5);
            }

            Vector256<float> bias0 = default, bias1 = default;
            if (tile.Bias != null) (bias0, bias1) = (Vector256.Load(tile.Bias), Vector256.Load(tile.Bias + 8));
            float* y = tile.Output;
            nint stride = tile.OutputStride;
            Store(y, a0 + bias0, b0 + bias1, tile.Add);
            if (TCount.Value > 1) Store(y + stride, a1 + bias0, b1 + bias1, tile.Add);
            if (TCount.Value > 2) Store(y + (2 * stride), a2 + bias0, b2 + bias1, tile.Add);
            if (TCount.Value > 3) Store(y + (3 * stride), a3 + bias0, b3 + bias1, tile.Add);
            if (TCount.Value > 4) Store(y + (4 * stride), a4 + bias0, b4 + bias1, tile.Add);
            if (TCount.Value > 5) Store(y + (5 * stride), a5 + bias0, b5 + bias1, tile.Add);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void AddColumn<TCount>(
            float* x,
            float* panel,
            int column,
            ref Vector256<float> a0,
            ref Vector256<float> b0,
            ref Vector256<float> a1,
            ref Vector256<float> b1,
            ref Vector256<float> a2,
            ref Vector256<float> b2,
            ref Vector256<float> a3,
            ref Vector256<float> b3,
            ref Vector256<float> a4,
            ref Vector256<float> b4,
            ref Vector256<float> a5,
            ref Vector256<float> b5)
            where TCount : ICount
        {
            Vector256<float> w0 = Vector256.Load(panel + (column * PanelRows)), w1 = Vector256.Load(panel + (column * PanelRows) + 8);
            Add(x + column, w0, w1, ref a0, ref b0);
            if (TCount.Value > 1) Add(x + column + InputStride, w0, w1, ref a1, ref b1);
            if (TCount.Value > 2) Add(x + column + (2 * InputStride), w0, w1, ref a2, ref b2);
            if (TCount.Value > 3) Add(x + column + (3 * InputStride), w0, w1, ref a3, ref b3);
            if (TCount.Value > 4) Add(x + column + (4 * InputStride), w0, w1, ref a4, ref b4);
            if (TCount.Value > 5) Add(x + column + (5 * InputStride), w0, w1, ref a5, ref b5);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Add(float* x, Vector256<float> w0, Vector256<float> w1, ref Vector256<float> a, ref Vector256<float> b)
        {
            Vector256<float> value = Vector256.Create(*x);
            a = Fma.MultiplyAdd(value, w0, a);
            b = Fma.MultiplyAdd(value, w1, b);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Store(float* y, Vector256<float> a, Vector256<float> b, bool add)
        {
            if (add) (a, b) = (a + Vector256.Load(y), b + Vector256.Load(y + 8));
            a.Store(y);
            b.Store(y + 8);
        }
    }
}
