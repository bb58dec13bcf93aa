using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Equip.Kernels.Memory;

namespace Equip.Kernels.Attention;

public static partial class DecodeAttention
{
    /// <content>Scores: dot products of rows and queries.</content>
    internal readonly unsafe partial struct Avx2Path<TRow, TPlain>
    {
        // Three or four heads: two rows a tile, one accumulator for each row and head. What has many registers live is not inlined: past
        // the compiler's limits they would live in memory.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void ScoreManyHeads<THeads>(byte** rows, in DecodeAhead ahead, ref long* line, int count, float* queries, int headDim, float* scores)
            where THeads : struct, ITile
        {
            long* next = line;
            for (int t = 0; t < count; t += 2)
            {
                long* fetched = next = ahead.Clamp(next);
                // A last row without a pair stands for both; the second score is overwritten or ignored.
                byte* first = rows[t], second = rows[t + 1 < count ? t + 1 : t];
                if (!ScorePair<THeads, TPlain>(first, second, ref next, queries, headDim, scores + t)) ScorePairAgain<THeads>(first, second, fetched, queries, headDim, scores + t);
            }

            line = next;
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void ScorePairAgain<THeads>(byte* r0, byte* r1, long* line, float* queries, int headDim, float* scores)
            where THeads : struct, ITile
            => ScorePair<THeads, TRow>(r0, r1, ref line, queries, headDim, scores);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static bool ScorePair<THeads, TLoad>(byte* r0, byte* r1, ref long* line, float* queries, nint headDim, float* scores)
            where THeads : struct, ITile
            where TLoad : struct, ICacheRow
        {
            Quad256 a = default, b = default;
            Vector256<ushort> seen = Vector256<ushort>.AllBitsSet;
            float* q1 = queries + headDim, q2 = q1 + headDim, q3 = THeads.Count > 3 ? q2 + headDim : q2;
            for (nint d = 0; d < headDim; d += 16)
            {
                DecodeAhead.Fetch(ref line, 2 * 16 * TLoad.Size / ReadAhead.Line);
                TLoad.Load(r0 + (d * TLoad.Size), ref seen, out Vector256<float> e0, out Vector256<float> o0);
                TLoad.Load(r1 + (d * TLoad.Size), ref seen, out Vector256<float> e1, out Vector256<float> o1);
                MultiplyRows<THeads>(queries + d, q1 + d, q2 + d, q3 + d, e0, e1, ref a, ref b);
                MultiplyRows<THeads>(queries + d + 8, q1 + d + 8, q2 + d + 8, q3 + d + 8, o0, o1, ref a, ref b);
            }

            Vector128<float> first = Scaled(a.Sum()), second = Scaled(b.Sum());
            Vector128<float> low = Sse.UnpackLow(first, second), high = Sse.UnpackHigh(first, second);
            Sse.StoreLow(scores, low);
            Sse.StoreHigh(scores + DecodeBlock.Capacity, low);
            Sse.StoreLow(scores + (2 * DecodeBlock.Capacity), high);
            if (THeads.Count > 3) Sse.StoreHigh(scores + (3 * DecodeBlock.Capacity), high);
            return TLoad.AllRight(seen);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void MultiplyRows<THeads>(float* q0, float* q1, float* q2, float* q3, Vector256<float> x, Vector256<float> y, ref Quad256 a, ref Quad256 b)
            where THeads : struct, ITile
        {
            Vector256<float> q = Vector256.LoadAligned(q0);
            a.V0 = Fma.MultiplyAdd(x, q, a.V0);
            b.V0 = Fma.MultiplyAdd(y, q, b.V0);
            q = Vector256.LoadAligned(q1);
            a.V1 = Fma.MultiplyAdd(x, q, a.V1);
            b.V1 = Fma.MultiplyAdd(y, q, b.V1);
            q = Vector256.LoadAligned(q2);
            a.V2 = Fma.MultiplyAdd(x, q, a.V2);
            b.V2 = Fma.MultiplyAdd(y, q, b.V2);
            if (THeads.Count < 4) return;
            q = Vector256.LoadAligned(q3);
            a.V3 = Fma.MultiplyAdd(x, q, a.V3);
            b.V3 = Fma.MultiplyAdd(y, q, b.V3);
        }

        // One or two heads: four rows a tile, one of each lane, so that rows are read in the order in which they were fetched.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void ScoreFewHeads<THeads>(byte** rows, in DecodeAhead ahead, ref long* line, int count, float* queries, int headDim, float* scores)
            where THeads : struct, ITile
        {
            int last = count - 1, lane = (count + DecodeAhead.Lanes - 1) / DecodeAhead.Lanes;
            long* next = line;
            for (int t0 = 0; t0 < lane; t0++)
            {
                // The last row stands in for those that the last lanes lack.
                int t1 = Math.Min(t0 + lane, last), t2 = Math.Min(t0 + (2 * lane), last), t3 = Math.Min(t0 + (3 * lane), last);
                byte* r0 = rows[t0], r1 = rows[t1], r2 = rows[t2], r3 = rows[t3];
                long* fetched = next = ahead.Clamp(next);
                if (!ScoreFour<THeads, TPlain>(r0, r1, r2, r3, ref next, queries, headDim, out Vector128<float> first, out Vector128<float> second))
                    ScoreFourAgain<THeads>(r0, r1, r2, r3, fetched, queries, headDim, out first, out second);
                Scatter(first, scores, t0, t1, t2, t3);
                if (THeads.Count > 1) Scatter(second, scores + DecodeBlock.Capacity, t0, t1, t2, t3);
            }

            line = next;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Scatter(Vector128<float> four, float* scores, int t0, int t1, int t2, int t3)
        {
            scores[t0] = four.ToScalar();
            scores[t1] = four.GetElement(1);
            scores[t2] = four.GetElement(2);
            scores[t3] = four.GetElement(3);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void ScoreFourAgain<THeads>(byte* r0, byte* r1, byte* r2, byte* r3, long* line, float* queries, int headDim, out Vector128<float> first, out Vector128<float> second)
            where THeads : struct, ITile
            => ScoreFour<THeads, TRow>(r0, r1, r2, r3, ref line, queries, headDim, out first, out second);

        // One head takes even and odd elements apart, to have eight chains as well.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static bool ScoreFour<THeads, TLoad>(byte* r0, byte* r1, byte* r2, byte* r3, ref long* line, float* queries, nint headDim, out Vector128<float> first, out Vector128<float> second)
            where THeads : struct, ITile
            where TLoad : struct, ICacheRow
        {
            Quad256 a = default, b = default;
            Vector256<ushort> seen = Vector256<ushort>.AllBitsSet;
            float* other = queries + (THeads.Count == 1 ? 0 : headDim);
            for (nint d = 0; d < headDim; d += 16)
            {
                DecodeAhead.Fetch(ref line, 4 * 16 * TLoad.Size / ReadAhead.Line);
                nint at = d * TLoad.Size;
                if (THeads.Count == 1)
                {
                    Vector256<float> even = Vector256.LoadAligned(queries + d), odd = Vector256.LoadAligned(queries + d + 8);
                    MultiplyRow<TLoad>(r0 + at, even, odd, ref seen, ref a.V0, ref b.V0);
                    MultiplyRow<TLoad>(r1 + at, even, odd, ref seen, ref a.V1, ref b.V1);
                    MultiplyRow<TLoad>(r2 + at, even, odd, ref seen, ref a.V2, ref b.V2);
                    MultiplyRow<TLoad>(r3 + at, even, odd, ref seen, ref a.V3, ref b.V3);
                }
                else
                {
                    MultiplyRow<TLoad>(r0 + at, queries + d, other + d, ref seen, ref a.V0, ref b.V0);
                    MultiplyRow<TLoad>(r1 + at, queries + d, other + d, ref seen, ref a.V1, ref b.V1);
                    MultiplyRow<TLoad>(r2 + at, queries + d, other + d, ref seen, ref a.V2, ref b.V2);
                    MultiplyRow<TLoad>(r3 + at, queries + d, other + d, ref seen, ref a.V3, ref b.V3);
                }
            }

            if (THeads.Count == 1) a = new Quad256 { V0 = a.V0 + b.V0, V1 = a.V1 + b.V1, V2 = a.V2 + b.V2, V3 = a.V3 + b.V3 };
            first = Scaled(a.Sum());
            second = THeads.Count > 1 ? Scaled(b.Sum()) : default;
            return TLoad.AllRight(seen);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void MultiplyRow<TLoad>(byte* row, Vector256<float> even, Vector256<float> odd, ref Vector256<ushort> seen, ref Vector256<float> evenSum, ref Vector256<float> oddSum)
            where TLoad : struct, ICacheRow
        {
            TLoad.Load(row, ref seen, out Vector256<float> e, out Vector256<float> o);
            evenSum = Fma.MultiplyAdd(e, even, evenSum);
            oddSum = Fma.MultiplyAdd(o, odd, oddSum);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void MultiplyRow<TLoad>(byte* row, float* q0, float* q1, ref Vector256<ushort> seen, ref Vector256<float> sum0, ref Vector256<float> sum1)
            where TLoad : struct, ICacheRow
        {
            TLoad.Load(row, ref seen, out Vector256<float> e, out Vector256<float> o);
            sum0 = Fma.MultiplyAdd(e, Vector256.LoadAligned(q0), sum0);
            sum1 = Fma.MultiplyAdd(e, Vector256.LoadAligned(q1), sum1);
            sum0 = Fma.MultiplyAdd(o, Vector256.LoadAligned(q0 + 8), sum0);
            sum1 = Fma.MultiplyAdd(o, Vector256.LoadAligned(q1 + 8), sum1);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector128<float> Scaled(Vector128<float> sums) => TRow.ResultScale == 1 ? sums : sums * Vector128.Create(TRow.ResultScale);
    }
}
