using Equip.Kernels.Numerics;

namespace Equip.Kernels.Linear;

internal static unsafe partial class Gemm
{
    private readonly partial struct ScalarPath
    {
        public static void Pack(in PanelSource source, float* panel)
        {
            new Span<float>(panel, source.Columns * PanelRows).Clear();
            for (int row = 0; row < source.Rows; row++)
            {
                byte* data = source.Data + (row * source.Stride);
                ushort* scales = (ushort*)(source.Scales + (row * source.ScaleStride));
                float* to = panel + row;
                for (int column = 0; column < source.Columns; column++)
                    to[column * PanelRows] = Widen(source.Type, data, column, scales);
            }
        }

        private static float Widen(DataType type, byte* data, int column, ushort* scales) => type switch
        {
            DataType.F32 => ((float*)data)[column],
            DataType.F16 => (float)((Half*)data)[column],
            DataType.BF16 => BitConverter.Int32BitsToSingle(((ushort*)data)[column] << 16),
            _ => ((sbyte*)data)[column] * (float)BitConverter.UInt16BitsToHalf(scales[column / WeightMatrix.BlockSize]),
        };
    }
}
