namespace Equip.Kernels.Linear;

internal static unsafe partial class Gemm
{
    /// <summary>Tiles of 2 inputs x 4 rows.</summary>
    private readonly partial struct ScalarPath : IGemmPath
    {
        public static int PanelRows => 4;

        public static int TileBatch => 2;

        public static void Multiply(in GemmTile tile, int count)
        {
            // A single input is computed twice into the same place rather than by a second body; only its sums are stored.
            float* first = tile.Input, second = first + (count > 1 ? InputStride : 0), panel = tile.Panel;
            float a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
            for (int depth = 0; depth < tile.Depth; depth++, panel += 4)
            {
                float x = first[depth], y = second[depth];
                a0 += x * panel[0];
                a1 += x * panel[1];
                a2 += x * panel[2];
                a3 += x * panel[3];
                b0 += y * panel[0];
                b1 += y * panel[1];
                b2 += y * panel[2];
                b3 += y * panel[3];
            }

            Store(tile, tile.Output, a0, a1, a2, a3);
            if (count > 1) Store(tile, tile.Output + tile.OutputStride, b0, b1, b2, b3);
        }

        private static void Store(in GemmTile tile, float* output, float a0, float a1, float a2, float a3)
        {
            float* bias = tile.Bias;
            if (bias != null) (a0, a1, a2, a3) = (a0 + bias[0], a1 + bias[1], a2 + bias[2], a3 + bias[3]);
            if (tile.Add) (a0, a1, a2, a3) = (a0 + output[0], a1 + output[1], a2 + output[2], a3 + output[3]);
            (output[0], output[1], output[2], output[3]) = (a0, a1, a2, a3);
        }
    }
}
