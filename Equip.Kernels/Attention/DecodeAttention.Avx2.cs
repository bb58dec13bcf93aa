using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Attention;

public static partial class DecodeAttention
{
    /// <summary>
    /// 256-bit path. Sixteen registers hold eight accumulators: score tiles of 2 rows x 4 heads or 4 rows x 2 heads, value tiles of
    /// 4 heads x 16 elements.
    /// </summary>
    internal readonly unsafe struct Avx2Path<TRow, TPlain> : IDecodePath
        where TRow : struct, ICacheRow
        where TPlain : struct, ICacheRow
    {
        public static void PrepareQueries(float* queries, int group, int headDim, float scale, float* prepared)
        {
            Vector256<float> factor = Vector256.Create(scale * TRow.OperandScale);
            for (long d = 0; d < (long)group * headDim; d += 16)
            {
                Vector256<float> low = Vector256.Load(queries + d) * factor, high = Vector256.Load(queries + d + 8) * factor;
                if (TRow.Parts) (low, high) = Pair256.Part(low, high);
                low.StoreAligned(prepared + d);
                high.StoreAligned(prepared + d + 8);
            }
        }

        public static void Score(byte** rows, in DecodeAhead ahead, ref long* line, int count, float* queries, int group, int headDim, float* scores)
        {
            int h = 0;
            for (; h + 4 <= group; h += 4, queries += 4 * headDim, scores += 4 * DecodeBlock.Capacity)
                ScoreManyHeads<Four>(rows, ahead, ref line, count, queries, headDim, scores);
            switch (group - h)
            {
                case 3: ScoreManyHeads<Three>(rows, ahead, ref line, count, queries, headDim, scores); break;
                case 2: ScoreFewHeads<Two>(rows, ahead, ref line, count, queries, headDim, scores); break;
                case 1: ScoreFewHeads<One>(rows, ahead, ref line, count, queries, headDim, scores); break;
            }
        }

        public static void Softmax(float* scores, int count, int group, float* max, float* sum, float* rescale)
        {
            int h = 0;
            for (; h + 4 <= group; h += 4, scores += 4 * DecodeBlock.Capacity) SoftmaxHeads<Four>(scores, count, max + h, sum + h, rescale + h);
            switch (group - h)
            {
                case 3: SoftmaxHeads<Three>(scores, count, max + h, sum + h, rescale + h); break;
                case 2: SoftmaxHeads<Two>(scores, count, max + h, sum + h, rescale + h); break;
                case 1: SoftmaxHeads<One>(scores, count, max + h, sum + h, rescale + h); break;
            }
        }

        public static void Accumulate(byte** rows, in DecodeAhead ahead, int count, float* probabilities, float* rescale, int group, int headDim, float* sums)
        {
            long* line = ahead.First;
            int h = 0;
            for (; h + 4 <= group; h += 4) AccumulateHeads<Four>(rows, ahead, ref line, count, probabilities + (h * DecodeBlock.Capacity), rescale + h, headDim, sums + (h * headDim));
            probabilities += h * DecodeBlock.Capacity;
            rescale += h;
            sums += h * headDim;
            switch (group - h)
            {
                case 3: AccumulateHeads<Three>(rows, ahead, ref line, count, probabilities, rescale, headDim, sums); break;
                case 2: AccumulateHeads<Two>(rows, ahead, ref line, count, probabilities, rescale, headDim, sums); break;
                case 1: AccumulateHeads<One>(rows, ahead, ref line, count, probabilities, rescale, headDim, sums); break;
            }
        }

        public static void Finish(float* sums, int headDim, float factor, float* output)
        {
            Vector256<float> f = Vector256.Create(factor * TRow.ResultScale);
            for (int d = 0; d < headDim; d += 16)
            {
                Vector256<float> low = Vector256.LoadAligned(sums + d) * f, high = Vector256.LoadAligned(sums + d + 8) * f;
                if (TRow.Parts) (low, high) = Pair256.Join(low, high);
                low.Store(output + d);
                high.Store(output + d + 8);
            }
        }

        public static void AddScaled(float* source, float factor, int count, float* sums)
        {
            Vector256<float> f = Vector256.Create(factor);
            for (int d = 0; d < count; d += 8) Fma.MultiplyAdd(Vector256.Load(source + d), f, Vector256.Load(sums + d)).Store(sums + d);
        }

        public static void ColumnWeights(float* scores, long headStride, int count, int group, float* max, float* inverse, float* weights)
        {
            for (int t = 0; t < count; t += 8)
            {
                Vector256<float> total = Vector256<float>.Zero;
                for (int h = 0; h < group; h++)
                    total = Fma.MultiplyAdd(VectorExp.Exp(Vector256.Load(scores + (h * headStride) + t) - Vector256.Create(max[h])), Vector256.Create(inverse[h]), total);
                total.StoreAligned(weights + t);
            }
        }

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
                DecodeAhead.Fetch(ref line, 2 * 16 * TLoad.Size / DecodeAhead.Line);
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

        // One or two heads: four rows a tile.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void ScoreFewHeads<THeads>(byte** rows, in DecodeAhead ahead, ref long* line, int count, float* queries, int headDim, float* scores)
            where THeads : struct, ITile
        {
            int last = count - 1;
            long* next = line;
            for (int t = 0; t < count; t += 4)
            {
                byte* r0 = rows[t], r1 = rows[Math.Min(t + 1, last)], r2 = rows[Math.Min(t + 2, last)], r3 = rows[Math.Min(t + 3, last)];
                long* fetched = next = ahead.Clamp(next);
                if (!ScoreFour<THeads, TPlain>(r0, r1, r2, r3, ref next, queries, headDim, scores + t)) ScoreFourAgain<THeads>(r0, r1, r2, r3, fetched, queries, headDim, scores + t);
            }

            line = next;
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void ScoreFourAgain<THeads>(byte* r0, byte* r1, byte* r2, byte* r3, long* line, float* queries, int headDim, float* scores)
            where THeads : struct, ITile
            => ScoreFour<THeads, TRow>(r0, r1, r2, r3, ref line, queries, headDim, scores);

        // One head takes even and odd elements apart, to have eight chains as well.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static bool ScoreFour<THeads, TLoad>(byte* r0, byte* r1, byte* r2, byte* r3, ref long* line, float* queries, nint headDim, float* scores)
            where THeads : struct, ITile
            where TLoad : struct, ICacheRow
        {
            Quad256 a = default, b = default;
            Vector256<ushort> seen = Vector256<ushort>.AllBitsSet;
            float* other = queries + (THeads.Count == 1 ? 0 : headDim);
            for (nint d = 0; d < headDim; d += 16)
            {
                DecodeAhead.Fetch(ref line, 4 * 16 * TLoad.Size / DecodeAhead.Line);
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
            Scaled(a.Sum()).Store(scores);
            if (THeads.Count > 1) Scaled(b.Sum()).Store(scores + DecodeBlock.Capacity);
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

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void SoftmaxHeads<THeads>(float* scores, int count, float* max, float* sum, float* rescale)
            where THeads : struct, ITile
        {
            int padded = (count + 7) & ~7;
            Quad256 high = default;
            high.V0 = high.V1 = high.V2 = high.V3 = Vector256.Create(float.MinValue);
            high.V0 = Highest(scores, count, padded);
            if (THeads.Count > 1) high.V1 = Highest(scores + DecodeBlock.Capacity, count, padded);
            if (THeads.Count > 2) high.V2 = Highest(scores + (2 * DecodeBlock.Capacity), count, padded);
            if (THeads.Count > 3) high.V3 = Highest(scores + (3 * DecodeBlock.Capacity), count, padded);
            Vector128<float> before = Vector128.LoadAligned(max);
            Vector128<float> now = Sse.Max(before, high.Max());
            now.StoreAligned(max);
            Vector128<float> factor = VectorExp.Exp((before - now).ToVector256Unsafe()).GetLower();
            factor.StoreAligned(rescale);
            Quad256 total = default;
            total.V0 = Exponentiate(scores, padded, max[0]);
            if (THeads.Count > 1) total.V1 = Exponentiate(scores + DecodeBlock.Capacity, padded, max[1]);
            if (THeads.Count > 2) total.V2 = Exponentiate(scores + (2 * DecodeBlock.Capacity), padded, max[2]);
            if (THeads.Count > 3) total.V3 = Exponentiate(scores + (3 * DecodeBlock.Capacity), padded, max[3]);
            ((Vector128.LoadAligned(sum) * factor) + total.Sum()).StoreAligned(sum);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<float> Highest(float* scores, int count, int padded)
        {
            for (int t = count; t < padded; t++) scores[t] = float.NegativeInfinity;
            Vector256<float> high = Vector256.Create(float.MinValue);
            for (int t = 0; t < padded; t += 8) high = Avx.Max(high, Vector256.LoadAligned(scores + t));
            return high;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<float> Exponentiate(float* scores, int padded, float max)
        {
            Vector256<float> total = Vector256<float>.Zero;
            for (int t = 0; t < padded; t += 8)
            {
                Vector256<float> p = VectorExp.Exp(Vector256.LoadAligned(scores + t) - Vector256.Create(max));
                (TRow.OperandScale == 1 ? p : Operand(p)).StoreAligned(scores + t);
                total += p;
            }

            return total;
        }

        // What would become subnormal is 0: many processors multiply subnormal numbers a hundred times slower, and beside the largest,
        // which is 1, it is nothing. NaN stays.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<float> Operand(Vector256<float> p)
            => Vector256.AndNot(p, Vector256.LessThan(p, Vector256.Create(SmallestNormal / TRow.OperandScale))) * Vector256.Create(TRow.OperandScale);

        private static void AccumulateHeads<THeads>(byte** rows, in DecodeAhead ahead, ref long* line, int count, float* probabilities, float* rescale, int headDim, float* sums)
            where THeads : struct, ITile
        {
            for (int d = 0; d < headDim; d += 16)
            {
                if (!AccumulateSlice<THeads, TPlain>(rows, ahead, ref line, count, d * TRow.Size, probabilities, rescale, headDim, sums + d))
                    AccumulateSlice<THeads, TRow>(rows, ahead, ref line, count, d * TRow.Size, probabilities, rescale, headDim, sums + d);
            }
        }

        // 16 elements of every row. With one or two heads the spare accumulators take other rows. What did not come out right is not stored.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static bool AccumulateSlice<THeads, TLoad>(byte** rows, in DecodeAhead ahead, ref long* line, nint count, nint offset, float* probabilities, float* rescale, int headDim, float* sums)
            where THeads : struct, ITile
            where TLoad : struct, ICacheRow
        {
            Vector256<ushort> seen = Vector256<ushort>.AllBitsSet;
            Pair256 a0 = Pair256.Load(sums, rescale[0]), a1 = default, a2 = default, a3 = default;
            if (THeads.Count > 1) a1 = Pair256.Load(sums + headDim, rescale[1]);
            if (THeads.Count > 2) a2 = Pair256.Load(sums + (2 * headDim), rescale[2]);
            if (THeads.Count > 3) a3 = Pair256.Load(sums + (3 * headDim), rescale[3]);
            long* next = line;
            nint t = 0;
            for (; t + 4 <= count; t += 4)
            {
                next = ahead.Clamp(next);
                DecodeAhead.Fetch(ref next, 4 * 16 * TLoad.Size / DecodeAhead.Line);
                if (THeads.Count == 1)
                {
                    AddRow<One, TLoad>(rows, t, offset, probabilities, ref seen, ref a0, ref a1, ref a2, ref a3);
                    AddRow<One, TLoad>(rows, t + 1, offset, probabilities, ref seen, ref a1, ref a2, ref a3, ref a0);
                    AddRow<One, TLoad>(rows, t + 2, offset, probabilities, ref seen, ref a2, ref a3, ref a0, ref a1);
                    AddRow<One, TLoad>(rows, t + 3, offset, probabilities, ref seen, ref a3, ref a0, ref a1, ref a2);
                }
                else if (THeads.Count == 2)
                {
                    AddRow<Two, TLoad>(rows, t, offset, probabilities, ref seen, ref a0, ref a1, ref a2, ref a3);
                    AddRow<Two, TLoad>(rows, t + 1, offset, probabilities, ref seen, ref a2, ref a3, ref a0, ref a1);
                    AddRow<Two, TLoad>(rows, t + 2, offset, probabilities, ref seen, ref a0, ref a1, ref a2, ref a3);
                    AddRow<Two, TLoad>(rows, t + 3, offset, probabilities, ref seen, ref a2, ref a3, ref a0, ref a1);
                }
                else
                {
                    byte** four = rows + t;
                    float* weights = probabilities + t;
                    AddRow<THeads, TLoad>(four, 0, offset, weights, ref seen, ref a0, ref a1, ref a2, ref a3);
                    AddRow<THeads, TLoad>(four, 1, offset, weights, ref seen, ref a0, ref a1, ref a2, ref a3);
                    AddRow<THeads, TLoad>(four, 2, offset, weights, ref seen, ref a0, ref a1, ref a2, ref a3);
                    AddRow<THeads, TLoad>(four, 3, offset, weights, ref seen, ref a0, ref a1, ref a2, ref a3);
                }
            }

            for (; t < count; t++) AddRow<THeads, TLoad>(rows, t, offset, probabilities, ref seen, ref a0, ref a1, ref a2, ref a3);
            line = next;
            if (!TLoad.AllRight(seen)) return false;
            if (THeads.Count == 1) a0 = a0 + a1 + (a2 + a3);
            if (THeads.Count == 2) (a0, a1) = (a0 + a2, a1 + a3);
            a0.Store(sums);
            if (THeads.Count > 1) a1.Store(sums + headDim);
            if (THeads.Count > 2) a2.Store(sums + (2 * headDim));
            if (THeads.Count > 3) a3.Store(sums + (3 * headDim));
            return true;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void AddRow<THeads, TLoad>(byte** rows, nint t, nint offset, float* probabilities, ref Vector256<ushort> seen, ref Pair256 a0, ref Pair256 a1, ref Pair256 a2, ref Pair256 a3)
            where THeads : struct, ITile
            where TLoad : struct, ICacheRow
        {
            Pair256 row = LoadRow<TLoad>(rows[t] + offset, ref seen);
            a0.Add(row, probabilities[t]);
            if (THeads.Count > 1) a1.Add(row, probabilities[DecodeBlock.Capacity + t]);
            if (THeads.Count > 2) a2.Add(row, probabilities[(2 * DecodeBlock.Capacity) + t]);
            if (THeads.Count > 3) a3.Add(row, probabilities[(3 * DecodeBlock.Capacity) + t]);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Pair256 LoadRow<TLoad>(byte* source, ref Vector256<ushort> seen)
            where TLoad : struct, ICacheRow
        {
            Pair256 pair = default;
            TLoad.Load(source, ref seen, out pair.Even, out pair.Odd);
            return pair;
        }
    }
}
