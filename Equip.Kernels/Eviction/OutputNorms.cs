using System.Runtime.Intrinsics;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Eviction;

/// <summary>
/// |W v|_1 of many rows v. There is no short cut for this norm as the Gram matrix is for |W v|_2, but the products need not be stored:
/// they are summed while they are in registers.
/// </summary>
internal static unsafe class OutputNorms
{
    // Rows of one chunk of work: with a panel of the matrix they stay in the first-level cache.
    private const int ChunkRows = 64;

    // Outputs of a panel, in vectors, and rows that share its loads: twelve sums, three outputs and a value fill sixteen registers.
    private const int PanelVectors = 3, BlockRows = 4;

    /// <summary><c>[count]</c>: the norms.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="matrix">W, <c>[outputs, width]</c>.</param>
    /// <param name="rows"><c>[count, width]</c>.</param>
    /// <param name="width">Elements of a row.</param>
    /// <param name="count">Rows.</param>
    public static float[] Norm1(KernelContext context, ReadOnlySpan<float> matrix, ReadOnlySpan<float> rows, int width, int count)
    {
        float[] norms = new float[count];
        if (context.Isa == Isa.Avx512) Run<Avx512Lanes, Vector512<float>, Vector512<uint>>(context, matrix, rows, width, norms);
        else if (context.Isa == Isa.Avx2) Run<Avx2Lanes, Vector256<float>, Vector256<uint>>(context, matrix, rows, width, norms);
        else Run<ScalarLanes, float, uint>(context, matrix, rows, width, norms);
        return norms;
    }

    private static void Run<TLanes, TFloats, TWords>(KernelContext context, ReadOnlySpan<float> matrix, ReadOnlySpan<float> rows, int width, float[] norms)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        int outputs = matrix.Length / width, panel = PanelVectors * TLanes.Count, panels = (outputs + panel - 1) / panel;

        // [panels, width, panel]; what fills up the last panel is 0 and adds nothing.
        float[] packed = new float[checked(panels * width * panel)];
        for (int output = 0; output < outputs; output++)
            for (int i = 0; i < width; i++) packed[(((output / panel * width) + i) * panel) + (output % panel)] = matrix[(output * width) + i];
        fixed (float* weights = packed, values = rows, to = norms)
        {
            Job<TLanes, TFloats, TWords> job = new() { Weights = weights, Rows = values, Norms = to, Width = width, Panels = panels, Count = norms.Length };
            context.Pool.Run(job, (norms.Length + ChunkRows - 1) / ChunkRows);
        }
    }

    private struct Job<TLanes, TFloats, TWords> : IParallelJob
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        public float* Weights;
        public float* Rows;
        public float* Norms;
        public int Width;
        public int Panels;
        public int Count;

        public readonly void Execute(int chunk, int worker)
        {
            int first = chunk * ChunkRows, end = Math.Min(first + ChunkRows, Count), step = TLanes.Count;
            float* sums = stackalloc float[ChunkRows * step];
            new Span<float>(sums, ChunkRows * step).Clear();
            for (int panel = 0; panel < Panels; panel++)
                for (int row = first; row < end; row += BlockRows) Add(Weights + ((long)panel * Width * PanelVectors * step), row, end - 1, sums + ((row - first) * step));
            for (int row = first; row < end; row++) Norms[row] = TLanes.Sum(TLanes.Load(sums + ((row - first) * step)));
        }

        /// <summary>Four rows times a panel; rows past the last one repeat it, and nobody reads their sums.</summary>
        private readonly void Add(float* weights, int row, int last, float* sums)
        {
            int step = TLanes.Count;
            float* v0 = Rows + ((long)row * Width), v1 = Rows + ((long)Math.Min(row + 1, last) * Width);
            float* v2 = Rows + ((long)Math.Min(row + 2, last) * Width), v3 = Rows + ((long)Math.Min(row + 3, last) * Width);
            TFloats zero = TLanes.Create(0);
            TFloats a0 = zero, a1 = zero, a2 = zero, b0 = zero, b1 = zero, b2 = zero, c0 = zero, c1 = zero, c2 = zero, d0 = zero, d1 = zero, d2 = zero;
            for (nint i = 0; i < Width; i++, weights += PanelVectors * step)
            {
                TFloats w0 = TLanes.Load(weights), w1 = TLanes.Load(weights + step), w2 = TLanes.Load(weights + (2 * step));
                TFloats value = TLanes.Create(v0[i]);
                a0 = TLanes.MultiplyAdd(value, w0, a0);
                a1 = TLanes.MultiplyAdd(value, w1, a1);
                a2 = TLanes.MultiplyAdd(value, w2, a2);
                value = TLanes.Create(v1[i]);
                b0 = TLanes.MultiplyAdd(value, w0, b0);
                b1 = TLanes.MultiplyAdd(value, w1, b1);
                b2 = TLanes.MultiplyAdd(value, w2, b2);
                value = TLanes.Create(v2[i]);
                c0 = TLanes.MultiplyAdd(value, w0, c0);
                c1 = TLanes.MultiplyAdd(value, w1, c1);
                c2 = TLanes.MultiplyAdd(value, w2, c2);
                value = TLanes.Create(v3[i]);
                d0 = TLanes.MultiplyAdd(value, w0, d0);
                d1 = TLanes.MultiplyAdd(value, w1, d1);
                d2 = TLanes.MultiplyAdd(value, w2, d2);
            }

            AddMagnitudes(sums, a0, a1, a2);
            AddMagnitudes(sums + step, b0, b1, b2);
            AddMagnitudes(sums + (2 * step), c0, c1, c2);
            AddMagnitudes(sums + (3 * step), d0, d1, d2);
        }

        private static void AddMagnitudes(float* sums, TFloats x, TFloats y, TFloats z) =>
            TLanes.Store(TLanes.Add(TLanes.Add(TLanes.Load(sums), Magnitude(x)), TLanes.Add(Magnitude(y), Magnitude(z))), sums);

        private static TFloats Magnitude(TFloats x) => TLanes.MaxOrNaN(x, TLanes.Subtract(TLanes.Create(0), x));
    }
}
