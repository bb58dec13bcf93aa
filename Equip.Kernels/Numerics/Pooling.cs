using System.Runtime.Intrinsics;
using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Numerics;

/// <summary>
/// One-dimensional pooling with stride 1 and an output as long as the input, as score-based evictions smooth their scores
/// (SnapKV, arXiv 2404.14469). Sums run in ascending order without FMA, so every path gives the same bits.
/// </summary>
public static unsafe class Pooling
{
    /// <summary>The widest kernel.</summary>
    public const int LargestKernel = 63;

    private static readonly Isa _automatic = IsaRegistry.Resolve(Isa.Auto);

    private interface IReduction
    {
        static abstract float Empty { get; }

        static abstract TFloats Combine<TLanes, TFloats, TWords>(TFloats all, TFloats next)
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct;

        static abstract TFloats Finish<TLanes, TFloats, TWords>(TFloats all, float kernel)
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct;
    }

    /// <summary>output[i] = sum of scores[i - kernel / 2 .. i + kernel / 2] / kernel; scores outside count as 0 and are counted.</summary>
    /// <param name="scores">Any length.</param>
    /// <param name="kernel">Odd, 1 to <see cref="LargestKernel"/>.</param>
    /// <param name="output">At least as long; apart from <paramref name="scores"/>.</param>
    /// <param name="isa">The code path.</param>
    /// <exception cref="ArgumentException">A length or the kernel does not fit, or spans overlap.</exception>
    /// <exception cref="PlatformNotSupportedException">The path does not run here.</exception>
    public static void Average(ReadOnlySpan<float> scores, int kernel, Span<float> output, Isa isa = Isa.Auto) => Pool<AverageReduction>(scores, kernel, output, isa);

    /// <summary>output[i] = max of scores[i - kernel / 2 .. i + kernel / 2] inside the array; NaN if one of them is NaN.</summary>
    /// <param name="scores">Any length.</param>
    /// <param name="kernel">Odd, 1 to <see cref="LargestKernel"/>.</param>
    /// <param name="output">At least as long; apart from <paramref name="scores"/>.</param>
    /// <param name="isa">The code path.</param>
    /// <exception cref="ArgumentException">A length or the kernel does not fit, or spans overlap.</exception>
    /// <exception cref="PlatformNotSupportedException">The path does not run here.</exception>
    public static void Max(ReadOnlySpan<float> scores, int kernel, Span<float> output, Isa isa = Isa.Auto) => Pool<MaxReduction>(scores, kernel, output, isa);

    private static void Pool<TReduction>(ReadOnlySpan<float> scores, int kernel, Span<float> output, Isa isa)
        where TReduction : struct, IReduction
    {
        Require.InRange(kernel, 1, LargestKernel);
        if (kernel % 2 == 0) throw new ArgumentException($"kernel: got {kernel}, expected an odd number", nameof(kernel));
        Require.AtLeast(output.Length, scores.Length);
        if (output[..scores.Length].Overlaps(scores)) throw new ArgumentException("output: overlaps scores", nameof(output));
        isa = isa == Isa.Auto ? _automatic : IsaRegistry.Resolve(isa);
        fixed (float* source = scores, destination = output)
        {
            int length = scores.Length, radius = kernel / 2;
            int first = Math.Min(radius, length), end = Math.Max(first, length - radius);
            Edge<TReduction>(source, kernel, destination, length, 0, first);
            int done = isa switch
            {
                Isa.Avx512 => Inside<TReduction, Avx512Lanes, Vector512<float>, Vector512<uint>>(source, kernel, destination, first, end),
                Isa.Avx2 => Inside<TReduction, Avx2Lanes, Vector256<float>, Vector256<uint>>(source, kernel, destination, first, end),
                _ => Inside<TReduction, ScalarLanes, float, uint>(source, kernel, destination, first, end),
            };
            Edge<TReduction>(source, kernel, destination, length, done, length);
        }
    }

    /// <summary>Outputs [first, end) as far as whole vectors go; their windows lie inside the array. Returns where it stopped.</summary>
    private static int Inside<TReduction, TLanes, TFloats, TWords>(float* scores, int kernel, float* output, int first, int end)
        where TReduction : struct, IReduction
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        int i = first, radius = kernel / 2, step = TLanes.Count;
        TFloats empty = TLanes.Create(TReduction.Empty);

        // Four outputs at a time: one alone waits for its own chain of additions.
        for (; i <= end - (4 * step); i += 4 * step)
        {
            float* window = scores + i - radius;
            TFloats all0 = empty, all1 = empty, all2 = empty, all3 = empty;
            for (int k = 0; k < kernel; k++, window++)
            {
                all0 = TReduction.Combine<TLanes, TFloats, TWords>(all0, TLanes.Load(window));
                all1 = TReduction.Combine<TLanes, TFloats, TWords>(all1, TLanes.Load(window + step));
                all2 = TReduction.Combine<TLanes, TFloats, TWords>(all2, TLanes.Load(window + (2 * step)));
                all3 = TReduction.Combine<TLanes, TFloats, TWords>(all3, TLanes.Load(window + (3 * step)));
            }

            TLanes.Store(TReduction.Finish<TLanes, TFloats, TWords>(all0, kernel), output + i);
            TLanes.Store(TReduction.Finish<TLanes, TFloats, TWords>(all1, kernel), output + i + step);
            TLanes.Store(TReduction.Finish<TLanes, TFloats, TWords>(all2, kernel), output + i + (2 * step));
            TLanes.Store(TReduction.Finish<TLanes, TFloats, TWords>(all3, kernel), output + i + (3 * step));
        }

        for (; i <= end - step; i += step)
        {
            float* window = scores + i - radius;
            TFloats all = empty;
            for (int k = 0; k < kernel; k++) all = TReduction.Combine<TLanes, TFloats, TWords>(all, TLanes.Load(window + k));
            TLanes.Store(TReduction.Finish<TLanes, TFloats, TWords>(all, kernel), output + i);
        }

        return i;
    }

    private static void Edge<TReduction>(float* scores, int kernel, float* output, int length, int first, int end)
        where TReduction : struct, IReduction
    {
        int radius = kernel / 2;
        for (int i = first; i < end; i++)
        {
            float all = TReduction.Empty;
            int last = (int)Math.Min(length - 1, (long)i + radius);
            for (int k = Math.Max(0, i - radius); k <= last; k++) all = TReduction.Combine<ScalarLanes, float, uint>(all, scores[k]);
            output[i] = TReduction.Finish<ScalarLanes, float, uint>(all, kernel);
        }
    }

    private readonly struct AverageReduction : IReduction
    {
        public static float Empty => 0;

        public static TFloats Combine<TLanes, TFloats, TWords>(TFloats all, TFloats next)
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct => TLanes.Add(all, next);

        public static TFloats Finish<TLanes, TFloats, TWords>(TFloats all, float kernel)
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct => TLanes.Divide(all, TLanes.Create(kernel));
    }

    private readonly struct MaxReduction : IReduction
    {
        public static float Empty => float.NegativeInfinity;

        public static TFloats Combine<TLanes, TFloats, TWords>(TFloats all, TFloats next)
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct => TLanes.MaxOrNaN(all, next);

        public static TFloats Finish<TLanes, TFloats, TWords>(TFloats all, float kernel)
            where TLanes : struct, ILanes<TFloats, TWords>
            where TFloats : struct
            where TWords : struct => all;
    }
}
