using System.Runtime.Intrinsics;
using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Numerics;

/// <summary>Softmax of rows.</summary>
public static unsafe class Softmax
{
    // Under this, waking the other threads costs more than they save.
    private const int LeastElementsPerChunk = 4096;

    /// <summary>
    /// output[r, c] = exp(input[r, c] - max(input[r])) / sum over c of the same. A row that is -infinity everywhere gives
    /// zeros (nothing to attend to); a row with a NaN or with +infinity gives NaN everywhere.
    /// </summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="input"><c>[rows, columns]</c>.</param>
    /// <param name="output"><c>[rows, columns]</c>; the same memory as <paramref name="input"/>, or apart.</param>
    /// <param name="rows">Rows, 0 or more.</param>
    /// <param name="columns">Columns, 0 or more.</param>
    /// <exception cref="ArgumentException">A length does not fit, or spans overlap partly.</exception>
    public static void Normalize(KernelContext context, ReadOnlySpan<float> input, Span<float> output, int rows, int columns)
    {
        ArgumentNullException.ThrowIfNull(context);
        Require.InRange(rows, 0, int.MaxValue);
        Require.InRange(columns, 0, int.MaxValue);
        long length = (long)rows * columns;
        Require.AtLeast(input.Length, length);
        Require.AtLeast(output.Length, length);
        input = input[..(int)length];
        output = output[..(int)length];
        Require.NoPartialOverlap(input, output, nameof(output));
        if (length == 0) return;

        fixed (float* source = input, destination = output)
        {
            switch (context.Isa)
            {
                case Isa.Avx512: Run<Avx512Lanes, Vector512<float>, Vector512<uint>>(context, source, destination, rows, columns); break;
                case Isa.Avx2: Run<Avx2Lanes, Vector256<float>, Vector256<uint>>(context, source, destination, rows, columns); break;
                default: Run<ScalarLanes, float, uint>(context, source, destination, rows, columns); break;
            }
        }
    }

    private static void Run<TLanes, TFloats, TWords>(KernelContext context, float* input, float* output, int rows, int columns)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        int chunks = Partition.Chunks(context, rows, columns, LeastElementsPerChunk);
        context.Pool.Run(new Job<TLanes, TFloats, TWords> { Input = input, Output = output, Rows = rows, Columns = columns, Chunks = chunks }, chunks);
    }

    private static void Row<TLanes, TFloats, TWords>(float* input, float* output, int columns)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        int whole = columns - (columns % TLanes.Count), rest = columns - whole;

        // Starting from the least finite value rather than -infinity: a fully masked row then has exp(-infinity) = 0
        // everywhere and sum 0, and a NaN that the maximum passed over still reaches the sum.
        TFloats maxima = TLanes.Create(float.MinValue);
        for (int c = 0; c < whole; c += TLanes.Count) maxima = TLanes.Max(maxima, TLanes.Load(input + c));
        if (rest > 0) maxima = TLanes.Max(maxima, TLanes.LoadPartial(input + whole, rest, float.MinValue));
        TFloats max = TLanes.Create(TLanes.MaxElement(maxima));

        TFloats sums = TLanes.Create(0);
        for (int c = 0; c < whole; c += TLanes.Count)
        {
            TFloats e = TLanes.ExpToOne(TLanes.Subtract(TLanes.Load(input + c), max));
            TLanes.Store(e, output + c);
            sums = TLanes.Add(sums, e);
        }

        if (rest > 0)
        {
            TFloats e = TLanes.ExpToOne(TLanes.Subtract(TLanes.LoadPartial(input + whole, rest, float.NegativeInfinity), max));
            TLanes.StorePartial(e, output + whole, rest);
            sums = TLanes.Add(sums, e);
        }

        // The largest element contributes 1, so only a fully masked row sums to 0.
        float sum = TLanes.Sum(sums);
        TFloats scale = TLanes.Create(sum == 0 ? 0 : 1 / sum);
        for (int c = 0; c < whole; c += TLanes.Count) TLanes.Store(TLanes.Multiply(TLanes.Load(output + c), scale), output + c);
        if (rest > 0) TLanes.StorePartial(TLanes.Multiply(TLanes.LoadPartial(output + whole, rest, 0), scale), output + whole, rest);
    }

    private struct Job<TLanes, TFloats, TWords> : IParallelJob
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        public float* Input, Output;
        public int Rows, Columns, Chunks;

        public readonly void Execute(int chunk, int worker)
        {
            long end = Partition.First(Rows, chunk + 1, Chunks);
            for (long row = Partition.First(Rows, chunk, Chunks); row < end; row++)
                Row<TLanes, TFloats, TWords>(Input + (row * Columns), Output + (row * Columns), Columns);
        }
    }
}
