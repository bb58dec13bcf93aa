using System.Runtime.Intrinsics;
using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Numerics;

/// <summary>Root-mean-square normalisation (arXiv 1910.07467).</summary>
public static unsafe class RmsNorm
{
    // Under this, waking the other threads costs more than they save.
    private const int LeastElementsPerChunk = 16384;

    /// <summary>output[r, c] = input[r, c] / sqrt(mean(input[r]²) + epsilon) * weight[c].</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="input"><c>[rows, columns]</c>.</param>
    /// <param name="weight"><c>[columns]</c>; its length gives the columns.</param>
    /// <param name="epsilon">Added to the mean square; 0 or more.</param>
    /// <param name="output"><c>[rows, columns]</c>; the same memory as <paramref name="input"/>, or apart.</param>
    /// <param name="rows">Rows, 0 or more.</param>
    /// <exception cref="ArgumentException">A length does not fit, spans overlap partly, or epsilon is negative or NaN.</exception>
    public static void Normalize(KernelContext context, ReadOnlySpan<float> input, ReadOnlySpan<float> weight, float epsilon, Span<float> output, int rows)
    {
        ArgumentNullException.ThrowIfNull(context);
        Require.InRange(rows, 0, int.MaxValue);
        if (!(epsilon >= 0)) throw new ArgumentOutOfRangeException(nameof(epsilon), epsilon, $"epsilon: got {epsilon}, expected 0 or more");
        int columns = weight.Length;
        long length = (long)rows * columns;
        Require.AtLeast(input.Length, length);
        Require.AtLeast(output.Length, length);
        input = input[..(int)length];
        output = output[..(int)length];
        Require.NoPartialOverlap(input, output, nameof(output));
        if (output.Overlaps(weight)) throw new ArgumentException("output: overlaps weight", nameof(output));
        if (length == 0) return;

        fixed (float* source = input, scale = weight, destination = output)
        {
            Arguments arguments = new() { Input = source, Weight = scale, Output = destination, Epsilon = epsilon, Rows = rows, Columns = columns };
            switch (context.Isa)
            {
                case Isa.Avx512: Run<Avx512Lanes, Vector512<float>, Vector512<uint>>(context, arguments); break;
                case Isa.Avx2: Run<Avx2Lanes, Vector256<float>, Vector256<uint>>(context, arguments); break;
                default: Run<ScalarLanes, float, uint>(context, arguments); break;
            }
        }
    }

    private static void Run<TLanes, TFloats, TWords>(KernelContext context, in Arguments arguments)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        int chunks = Partition.Chunks(context, arguments.Rows, arguments.Columns, LeastElementsPerChunk);
        context.Pool.Run(new Job<TLanes, TFloats, TWords> { Arguments = arguments, Chunks = chunks }, chunks);
    }

    private static void Row<TLanes, TFloats, TWords>(float* input, float* weight, float epsilon, float* output, int columns)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        int step = TLanes.Count, whole = columns - (columns % step), rest = columns - whole;

        // Four sums hide the latency of the adds (and halve the rounding error of the scalar path twice).
        TFloats sum0 = TLanes.Create(0), sum1 = sum0, sum2 = sum0, sum3 = sum0;
        int c = 0;
        for (; c + (4 * step) <= columns; c += 4 * step)
        {
            TFloats x0 = TLanes.Load(input + c), x1 = TLanes.Load(input + c + step), x2 = TLanes.Load(input + c + (2 * step)), x3 = TLanes.Load(input + c + (3 * step));
            sum0 = TLanes.MultiplyAdd(x0, x0, sum0);
            sum1 = TLanes.MultiplyAdd(x1, x1, sum1);
            sum2 = TLanes.MultiplyAdd(x2, x2, sum2);
            sum3 = TLanes.MultiplyAdd(x3, x3, sum3);
        }

        for (; c < whole; c += step)
        {
            TFloats x = TLanes.Load(input + c);
            sum0 = TLanes.MultiplyAdd(x, x, sum0);
        }

        if (rest > 0)
        {
            TFloats x = TLanes.LoadPartial(input + whole, rest, 0);
            sum1 = TLanes.MultiplyAdd(x, x, sum1);
        }

        float squares = TLanes.Sum(TLanes.Add(TLanes.Add(sum0, sum1), TLanes.Add(sum2, sum3)));
        TFloats scale = TLanes.Create(1 / MathF.Sqrt((squares / columns) + epsilon));
        for (c = 0; c < whole; c += step)
            TLanes.Store(TLanes.Multiply(TLanes.Multiply(TLanes.Load(input + c), scale), TLanes.Load(weight + c)), output + c);
        if (rest > 0)
            TLanes.StorePartial(TLanes.Multiply(TLanes.Multiply(TLanes.LoadPartial(input + whole, rest, 0), scale), TLanes.LoadPartial(weight + whole, rest, 0)), output + whole, rest);
    }

    private struct Arguments
    {
        public float* Input, Weight, Output;
        public float Epsilon;
        public int Rows, Columns;
    }

    private struct Job<TLanes, TFloats, TWords> : IParallelJob
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        public Arguments Arguments;
        public int Chunks;

        public readonly void Execute(int chunk, int worker)
        {
            int columns = Arguments.Columns;
            long end = Partition.First(Arguments.Rows, chunk + 1, Chunks);
            for (long row = Partition.First(Arguments.Rows, chunk, Chunks); row < end; row++)
                Row<TLanes, TFloats, TWords>(Arguments.Input + (row * columns), Arguments.Weight, Arguments.Epsilon, Arguments.Output + (row * columns), columns);
        }
    }
}
