using System.Diagnostics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Memory;

namespace Equip.Bench.Kernels.Roofline;

/// <summary>
/// The most multiply-adds a path can do: chains in registers, no memory. Twelve at a time cover a latency of four on two
/// units with room to spare, and fit the sixteen registers of AVX2 with their two factors.
/// </summary>
internal static unsafe class FmaPeak
{
    private const int Chains = 12, Steps = 1 << 15, ChunksPerThread = 8;

    private interface IFma<T>
        where T : struct
    {
        static abstract int Lanes { get; }

        static abstract T Create(float value);

        static abstract T MultiplyAdd(T a, T b, T c);

        static abstract float First(T value);
    }

    /// <summary>Measures a path, again until some time has passed.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="seconds">That time.</param>
    /// <returns>Floating-point operations a second, two for a multiply-add.</returns>
    public static double Sample(KernelContext context, double seconds) => context.Isa switch
    {
        Isa.Avx512 => Sample<Fma512, Vector512<float>>(context.Pool, seconds),
        Isa.Avx2 => Sample<Fma256, Vector256<float>>(context.Pool, seconds),
        _ => Sample<FmaScalar, float>(context.Pool, seconds),
    };

    private static double Sample<TFma, T>(WorkerPool pool, double seconds)
        where TFma : struct, IFma<T>
        where T : struct
    {
        int chunks = pool.Threads * ChunksPerThread;
        using NativeBuffer results = new(chunks * sizeof(float), zeroed: true);
        long start = Stopwatch.GetTimestamp(), passes = 0;
        double elapsed;
        do
        {
            pool.Run(new Job<TFma, T> { Results = (float*)results.Pointer }, chunks);
            passes++;
            elapsed = Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
        while (elapsed < seconds);

        // Every chain tends to 1, so that no work can have been left out.
        foreach (float result in results.AsSpan<float>())
            if (!(MathF.Abs(result - Chains) < 0.01f)) throw new InvalidOperationException($"the chains end at {result}, expected {Chains}");
        return 2.0 * TFma.Lanes * Chains * Steps * chunks * passes / elapsed;
    }

    private struct Job<TFma, T> : IParallelJob
        where TFma : struct, IFma<T>
        where T : struct
    {
        public float* Results;

        public readonly void Execute(int chunk, int worker)
        {
            T half = TFma.Create(0.5f), a = TFma.Create(chunk), b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a, k = a, l = a;
            for (int step = 0; step < Steps; step++)
            {
                a = TFma.MultiplyAdd(a, half, half);
                b = TFma.MultiplyAdd(b, half, half);
                c = TFma.MultiplyAdd(c, half, half);
                d = TFma.MultiplyAdd(d, half, half);
                e = TFma.MultiplyAdd(e, half, half);
                f = TFma.MultiplyAdd(f, half, half);
                g = TFma.MultiplyAdd(g, half, half);
                h = TFma.MultiplyAdd(h, half, half);
                i = TFma.MultiplyAdd(i, half, half);
                j = TFma.MultiplyAdd(j, half, half);
                k = TFma.MultiplyAdd(k, half, half);
                l = TFma.MultiplyAdd(l, half, half);
            }

            Results[chunk] = TFma.First(a) + TFma.First(b) + TFma.First(c) + TFma.First(d) + TFma.First(e) + TFma.First(f)
                + TFma.First(g) + TFma.First(h) + TFma.First(i) + TFma.First(j) + TFma.First(k) + TFma.First(l);
        }
    }

    private readonly struct Fma512 : IFma<Vector512<float>>
    {
        public static int Lanes => 16;

        public static Vector512<float> Create(float value) => Vector512.Create(value);

        public static Vector512<float> MultiplyAdd(Vector512<float> a, Vector512<float> b, Vector512<float> c) => Avx512F.FusedMultiplyAdd(a, b, c);

        public static float First(Vector512<float> value) => value.ToScalar();
    }

    private readonly struct Fma256 : IFma<Vector256<float>>
    {
        public static int Lanes => 8;

        public static Vector256<float> Create(float value) => Vector256.Create(value);

        public static Vector256<float> MultiplyAdd(Vector256<float> a, Vector256<float> b, Vector256<float> c) => Fma.MultiplyAdd(a, b, c);

        public static float First(Vector256<float> value) => value.ToScalar();
    }

    private readonly struct FmaScalar : IFma<float>
    {
        public static int Lanes => 1;

        public static float Create(float value) => value;

        public static float MultiplyAdd(float a, float b, float c) => MathF.FusedMultiplyAdd(a, b, c);

        public static float First(float value) => value;
    }
}
