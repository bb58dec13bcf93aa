using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Equip.Kernels.Linear;

internal static unsafe partial class Gemm
{
    /// <summary>Tiles of 14 inputs x 32 rows: 28 sums, two weight vectors and one broadcast input fill 31 of 32 registers.</summary>
    private readonly partial struct Avx512Path : IGemmPath
    {
        public static int PanelRows => 32;

        public static int TileBatch => 14;

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
                case 7: Multiply<Count7>(tile); break;
                case 8: Multiply<Count8>(tile); break;
                case 9: Multiply<Count9>(tile); break;
                case 10: Multiply<Count10>(tile); break;
                case 11: Multiply<Count11>(tile); break;
                case 12: Multiply<Count12>(tile); break;
                case 13: Multiply<Count13>(tile); break;
                case 14: Multiply<Count14>(tile); break;
            }
        }

        // One body for every height: the count is a constant of the type argument, so that sums that are not there vanish.
        private static void Multiply<TCount>(in GemmTile tile)
            where TCount : ICount
        {
            Vector512<float> a0 = default, b0 = default;
            Vector512<float> a1 = default, b1 = default;
            Vector512<float> a2 = default, b2 = default;
            Vector512<float> a3 = default, b3 = default;
            Vector512<float> a4 = default, b4 = default;
            Vector512<float> a5 = default, b5 = default;
            Vector512<float> a6 = default, b6 = default;
            Vector512<float> a7 = default, b7 = default;
            Vector512<float> a8 = default, b8 = default;
            Vector512<float> a9 = default, b9 = default;
            Vector512<float> a10 = default, b10 = default;
            Vector512<float> a11 = default, b11 = default;
            Vector512<float> a12 = default, b12 = default;
            Vector512<float> a13 = default, b13 = default;
            float* x = tile.Input, panel = tile.Panel;
            for (int column = 0; column < tile.Depth;)
            {
                tile.Fetch(column, TCount.Value, PanelRows);
                int end = Math.Min(column + 16, tile.Depth);
                do
                {
                    Vector512<float> w0 = Vector512.Load(panel), w1 = Vector512.Load(panel + 16);
                    Add(x, w0, w1, ref a0, ref b0);
                    if (TCount.Value > 1) Add(x + InputStride, w0, w1, ref a1, ref b1);
                    if (TCount.Value > 2) Add(x + (2 * InputStride), w0, w1, ref a2, ref b2);
                    if (TCount.Value > 3) Add(x + (3 * InputStride), w0, w1, ref a3, ref b3);
                    if (TCount.Value > 4) Add(x + (4 * InputStride), w0, w1, ref a4, ref b4);
                    if (TCount.Value > 5) Add(x + (5 * InputStride), w0, w1, ref a5, ref b5);
                    if (TCount.Value > 6) Add(x + (6 * InputStride), w0, w1, ref a6, ref b6);
                    if (TCount.Value > 7) Add(x + (7 * InputStride), w0, w1, ref a7, ref b7);
                    if (TCount.Value > 8) Add(x + (8 * InputStride), w0, w1, ref a8, ref b8);
                    if (TCount.Value > 9) Add(x + (9 * InputStride), w0, w1, ref a9, ref b9);
                    if (TCount.Value > 10) Add(x + (10 * InputStride), w0, w1, ref a10, ref b10);
                    if (TCount.Value > 11) Add(x + (11 * InputStride), w0, w1, ref a11, ref b11);
                    if (TCount.Value > 12) Add(x + (12 * InputStride), w0, w1, ref a12, ref b12);
                    if (TCount.Value > 13) Add(x + (13 * InputStride), w0, w1, ref a13, ref b13);
                    x++;
                    panel += PanelRows;
                }
                while (++column < end);
            }

            Vector512<float> bias0 = default, bias1 = default;
            if (tile.Bias != null) (bias0, bias1) = (Vector512.Load(tile.Bias), Vector512.Load(tile.Bias + 16));
            float* y = tile.Output;
            nint stride = tile.OutputStride;
            Store(y, a0 + bias0, b0 + bias1, tile.Add);
            if (TCount.Value > 1) Store(y + stride, a1 + bias0, b1 + bias1, tile.Add);
            if (TCount.Value > 2) Store(y + (2 * stride), a2 + bias0, b2 + bias1, tile.Add);
            if (TCount.Value > 3) Store(y + (3 * stride), a3 + bias0, b3 + bias1, tile.Add);
            if (TCount.Value > 4) Store(y + (4 * stride), a4 + bias0, b4 + bias1, tile.Add);
            if (TCount.Value > 5) Store(y + (5 * stride), a5 + bias0, b5 + bias1, tile.Add);
            if (TCount.Value > 6) Store(y + (6 * stride), a6 + bias0, b6 + bias1, tile.Add);
            if (TCount.Value > 7) Store(y + (7 * stride), a7 + bias0, b7 + bias1, tile.Add);
            if (TCount.Value > 8) Store(y + (8 * stride), a8 + bias0, b8 + bias1, tile.Add);
            if (TCount.Value > 9) Store(y + (9 * stride), a9 + bias0, b9 + bias1, tile.Add);
            if (TCount.Value > 10) Store(y + (10 * stride), a10 + bias0, b10 + bias1, tile.Add);
            if (TCount.Value > 11) Store(y + (11 * stride), a11 + bias0, b11 + bias1, tile.Add);
            if (TCount.Value > 12) Store(y + (12 * stride), a12 + bias0, b12 + bias1, tile.Add);
            if (TCount.Value > 13) Store(y + (13 * stride), a13 + bias0, b13 + bias1, tile.Add);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Add(float* x, Vector512<float> w0, Vector512<float> w1, ref Vector512<float> a, ref Vector512<float> b)
        {
            Vector512<float> value = Vector512.Create(*x);
            a = Avx512F.FusedMultiplyAdd(value, w0, a);
            b = Avx512F.FusedMultiplyAdd(value, w1, b);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Store(float* y, Vector512<float> a, Vector512<float> b, bool add)
        {
            if (add) (a, b) = (a + Vector512.Load(y), b + Vector512.Load(y + 16));
            a.Store(y);
            b.Store(y + 16);
        }
    }
}
