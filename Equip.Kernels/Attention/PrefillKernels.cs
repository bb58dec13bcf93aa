using System.Runtime.CompilerServices;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Attention;

/// <summary>
/// The steps of tiled attention on one block of lanes: up to three vectors of queries, stored <c>[headDim, Block]</c>.
/// Written once; a path gives its vector.
/// </summary>
internal static unsafe class PrefillKernels<TLanes, TFloats, TWords>
    where TLanes : struct, ILanes<TFloats, TWords>
    where TFloats : struct
    where TWords : struct
{
    /// <summary>Lanes from one row of a block to the next.</summary>
    public static int Block => 3 * TLanes.Count;

    /// <summary>scores[key, lane] = sum over d of keys[key, d] * queries[d, lane], for a multiple of four keys not under <paramref name="count"/>.</summary>
    public static void Scores(float* keys, int count, float* queries, int vectors, int headDim, float* scores)
    {
        if (vectors == 1) Scores<PrefillRow1<TLanes, TFloats, TWords>>(keys, count, queries, headDim, scores);
        else if (vectors == 2) Scores<PrefillRow2<TLanes, TFloats, TWords>>(keys, count, queries, headDim, scores);
        else Scores<PrefillRow3<TLanes, TFloats, TWords>>(keys, count, queries, headDim, scores);
    }

    /// <summary>output[d, lane] = output[d, lane] * correction[lane] + sum over keys of values[key, d] * probabilities[key, lane].</summary>
    public static void Accumulate(float* values, int count, float* probabilities, int vectors, float* correction, int headDim, float* output)
    {
        if (vectors == 1) Accumulate<PrefillRow1<TLanes, TFloats, TWords>>(values, count, probabilities, correction, headDim, output);
        else if (vectors == 2) Accumulate<PrefillRow2<TLanes, TFloats, TWords>>(values, count, probabilities, correction, headDim, output);
        else Accumulate<PrefillRow3<TLanes, TFloats, TWords>>(values, count, probabilities, correction, headDim, output);
    }

    /// <summary>Minus infinity in lanes [0, <paramref name="first"/>) and [<paramref name="end"/>, width) of a key's scores; both may lie outside.</summary>
    public static void Mask(float* scores, int width, long first, long end)
    {
        int shown = (int)Math.Clamp(first, 0, width), hidden = (int)Math.Clamp(end, 0, width);
        new Span<float>(scores, shown).Fill(float.NegativeInfinity);
        new Span<float>(scores + hidden, width - hidden).Fill(float.NegativeInfinity);
    }

    /// <summary>
    /// One step of the online softmax: turns scores into exp(score - maximum), updates each lane's maximum and sum, and gives
    /// the factor that corrects what was accumulated under the old maximum.
    /// </summary>
    public static void Softmax(float* scores, int count, int vectors, float* maximum, float* sum, float* correction)
    {
        for (int lane = 0; lane < vectors * TLanes.Count; lane += TLanes.Count)
        {
            // Four maxima hide the latency of max. A NaN score reaches the sum through exp, whether or not max passes it on.
            float* column = scores + lane;
            TFloats old = TLanes.Load(maximum + lane), m0 = old, m1 = old, m2 = old, m3 = old;
            int i = 0;
            for (; i + 4 <= count; i += 4)
            {
                m0 = TLanes.Max(TLanes.Load(column + (i * Block)), m0);
                m1 = TLanes.Max(TLanes.Load(column + ((i + 1) * Block)), m1);
                m2 = TLanes.Max(TLanes.Load(column + ((i + 2) * Block)), m2);
                m3 = TLanes.Max(TLanes.Load(column + ((i + 3) * Block)), m3);
            }

            for (; i < count; i++) m0 = TLanes.Max(TLanes.Load(column + (i * Block)), m0);
            TFloats best = TLanes.Max(TLanes.Max(m0, m1), TLanes.Max(m2, m3));
            TFloats factor = TLanes.ExpToOne(TLanes.Subtract(old, best));
            TFloats total = TLanes.Multiply(TLanes.Load(sum + lane), factor);
            for (i = 0; i < count; i++)
            {
                TFloats p = TLanes.ExpToOne(TLanes.Subtract(TLanes.Load(column + (i * Block)), best));
                TLanes.Store(p, column + (i * Block));
                total = TLanes.Add(total, p);
            }

            TLanes.Store(best, maximum + lane);
            TLanes.Store(total, sum + lane);
            TLanes.Store(factor, correction + lane);
        }
    }

    /// <summary>
    /// columns[key, i] += sum over vectors of exp(score - old) * exp(old - maximum) * factor: of each lane the maximum that its
    /// probabilities were made with, the final one and a factor.
    /// </summary>
    public static void AddColumns(float* probabilities, int count, int vectors, float* old, float* maximum, float* factor, float* columns)
    {
        for (int lane = 0; lane < vectors * TLanes.Count; lane += TLanes.Count)
        {
            TFloats weight = TLanes.Multiply(TLanes.ExpToOne(TLanes.Subtract(TLanes.Load(old + lane), TLanes.Load(maximum + lane))), TLanes.Load(factor + lane));
            float* column = columns, probability = probabilities + lane;
            for (int key = 0; key < count; key++, column += TLanes.Count, probability += Block)
                TLanes.Store(TLanes.MultiplyAdd(TLanes.Load(probability), weight, TLanes.Load(column)), column);
        }
    }

    /// <summary>Whether <paramref name="count"/> elements (a multiple of 16) hold neither NaN nor infinity.</summary>
    public static bool AllFinite(float* values, int count)
    {
        // 0 * x is NaN for both.
        TFloats sum = TLanes.Create(0), zero = sum;
        for (int i = 0; i < count; i += TLanes.Count) sum = TLanes.MultiplyAdd(TLanes.Load(values + i), zero, sum);
        return !float.IsNaN(TLanes.Sum(sum));
    }

    private static void Scores<TRow>(float* keys, int count, float* queries, int headDim, float* scores)
        where TRow : struct, IPrefillRow<TRow>
    {
        for (int key = 0; key < count; key += 4)
        {
            // The last rows of a short block repeat its last key: nothing past it is read, and nobody reads their scores.
            float* k0 = keys + ((nint)key * headDim);
            int last = count - 1 - key;
            float* k1 = k0 + (Math.Min(1, last) * headDim), k2 = k0 + (Math.Min(2, last) * headDim), k3 = k0 + (Math.Min(3, last) * headDim);
            TRow s0 = default, s1 = default, s2 = default, s3 = default;
            float* query = queries;
            // Two at a time, here and below: the loop's own instructions compete with the multiply-adds for issue slots.
            for (nint d = 0; d < headDim; d += 2, query += 2 * Block)
            {
                AddFour(k0 + d, k1 + d, k2 + d, k3 + d, query, ref s0, ref s1, ref s2, ref s3);
                AddFour(k0 + d + 1, k1 + d + 1, k2 + d + 1, k3 + d + 1, query + Block, ref s0, ref s1, ref s2, ref s3);
            }

            TRow.Store(scores, s0);
            TRow.Store(scores + Block, s1);
            TRow.Store(scores + (2 * Block), s2);
            TRow.Store(scores + (3 * Block), s3);
            scores += 4 * Block;
        }
    }

    private static void Accumulate<TRow>(float* values, int count, float* probabilities, float* correction, int headDim, float* output)
        where TRow : struct, IPrefillRow<TRow>
    {
        for (int d = 0; d < headDim; d += 4, output += 4 * Block)
        {
            TRow factor = TRow.Load(correction);
            TRow o0 = TRow.Multiply(TRow.Load(output), factor);
            TRow o1 = TRow.Multiply(TRow.Load(output + Block), factor);
            TRow o2 = TRow.Multiply(TRow.Load(output + (2 * Block)), factor);
            TRow o3 = TRow.Multiply(TRow.Load(output + (3 * Block)), factor);
            float* value = values + d;
            float* lanes = probabilities;
            int left = count;
            for (; left >= 2; left -= 2, value += 2 * headDim, lanes += 2 * Block)
            {
                AddFour(value, value + 1, value + 2, value + 3, lanes, ref o0, ref o1, ref o2, ref o3);
                float* after = value + headDim;
                AddFour(after, after + 1, after + 2, after + 3, lanes + Block, ref o0, ref o1, ref o2, ref o3);
            }

            if (left > 0) AddFour(value, value + 1, value + 2, value + 3, lanes, ref o0, ref o1, ref o2, ref o3);

            TRow.Store(output, o0);
            TRow.Store(output + Block, o1);
            TRow.Store(output + (2 * Block), o2);
            TRow.Store(output + (3 * Block), o3);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddFour<TRow>(float* f0, float* f1, float* f2, float* f3, float* source, ref TRow sum0, ref TRow sum1, ref TRow sum2, ref TRow sum3)
        where TRow : struct, IPrefillRow<TRow>
    {
        TRow lanes = TRow.Load(source);
        sum0 = TRow.MultiplyAdd(f0, lanes, sum0);
        sum1 = TRow.MultiplyAdd(f1, lanes, sum1);
        sum2 = TRow.MultiplyAdd(f2, lanes, sum2);
        sum3 = TRow.MultiplyAdd(f3, lanes, sum3);
    }
}
