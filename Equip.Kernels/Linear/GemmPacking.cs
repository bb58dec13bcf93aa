using System.Runtime.CompilerServices;
using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Linear;

internal static unsafe partial class Gemm
{
    /// <summary>
    /// Copies inputs <c>[batch, columns]</c> into <c>[blocks, batch, InputStride]</c>: the inputs of a tile then lie a constant
    /// distance apart (an address needs no register) that no row length can make collide in L1.
    /// </summary>
    private struct PackInputJob : IParallelJob
    {
        public float* Input;
        public float* Packed;
        public int Batch;
        public int Columns;
        public int Blocks;
        public int Depth;
        public int Chunks;

        public readonly void Execute(int chunk, int worker)
        {
            int end = (int)((long)Batch * (chunk + 1) / Chunks);
            for (int input = (int)((long)Batch * chunk / Chunks); input < end; input++)
            {
                float* from = Input + ((long)input * Columns);
                for (int block = 0; block < Blocks; block++)
                {
                    int column = block * Depth;
                    float* to = Packed + ((((long)block * Batch) + input) * InputStride);
                    Unsafe.CopyBlockUnaligned(to, from + column, (uint)Math.Min(Depth, Columns - column) * sizeof(float));
                }
            }
        }
    }

    /// <summary>
    /// Copies <paramref name="rows"/> x <paramref name="bytes"/> into the top left of a zeroed block <c>[side, side * 4]</c> bytes, so
    /// that the block transposes never read what was not declared.
    /// </summary>
    private static void CopyEdge(byte* source, nint stride, int rows, int bytes, byte* block, int side)
    {
        Unsafe.InitBlock(block, 0, (uint)(side * side * 4));
        for (int row = 0; row < rows; row++) Unsafe.CopyBlockUnaligned(block + (row * side * 4), source + (row * stride), (uint)bytes);
    }
}
