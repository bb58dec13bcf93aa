using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Equip.Kernels.Memory;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Attention;

public static partial class DecodeAttention
{
    /// <summary>512-bit path: score tiles of 4 rows x 4 heads, value tiles of 4 heads x 64 elements, 16 accumulators each.</summary>
    internal readonly unsafe struct Avx512Path<TRow, TPlain> : IDecodePath
        where TRow : struct, ICacheRow
        where TPlain : struct, ICacheRow
    {
        public static void PrepareQueries(float* queries, int group, int headDim, float scale, float* prepared)
        {
            Vector512<float> factor = Vector512.Create(scale * TRow.OperandScale);
            for (int h = 0; h < group; h++, queries += headDim, prepared += headDim)
            {
                int d = 0;
                for (; d + 32 <= headDim; d += 32)
                {
                    Vector512<float> low = Vector512.Load(queries + d) * factor, high = Vector512.Load(queries + d + 16) * factor;
                    if (TRow.Parts) (low, high) = Part(low, high);
                    low.StoreAligned(prepared + d);
                    high.StoreAligned(prepared + d + 16);
                }

                if (d < headDim) (Vector512.Load(queries + d) * factor).StoreAligned(prepared + d);
            }
        }

        public static void Score(byte** rows, in DecodeAhead ahead, ref long* line, int count, float* queries, int group, int headDim, float* scores)
        {
            int h = 0;
            for (; h + 4 <= group; h += 4, queries += 4 * headDim, scores += 4 * DecodeBlock.Capacity)
                ScoreHeads<Four>(rows, ahead, ref line, count, queries, headDim, scores);
            switch (group - h)
            {
                case 3: ScoreHeads<Three>(rows, ahead, ref line, count, queries, headDim, scores); break;
                case 2: ScoreHeads<Two>(rows, ahead, ref line, count, queries, headDim, scores); break;
                case 1: ScoreHeads<One>(rows, ahead, ref line, count, queries, headDim, scores); break;
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
            Vector512<float> f = Vector512.Create(factor * TRow.ResultScale);
            int d = 0;
            for (; d + 32 <= headDim; d += 32)
            {
                Vector512<float> low = Vector512.LoadAligned(sums + d) * f, high = Vector512.LoadAligned(sums + d + 16) * f;
                if (TRow.Parts) (low, high) = Join(low, high);
                low.Store(output + d);
                high.Store(output + d + 16);
            }

            if (d < headDim) (Vector512.LoadAligned(sums + d) * f).Store(output + d);
        }

        public static void AddScaled(float* source, float factor, int count, float* sums)
        {
            Vector512<float> f = Vector512.Create(factor);
            for (int d = 0; d < count; d += 16) Avx512F.FusedMultiplyAdd(Vector512.Load(source + d), f, Vector512.Load(sums + d)).Store(sums + d);
        }

        public static void ColumnWeights(float* scores, long headStride, int count, int group, float* max, float* inverse, float* weights)
        {
            for (int t = 0; t < count; t += 16)
            {
                Vector512<float> total = Vector512<float>.Zero;
                for (int h = 0; h < group; h++)
                    total = Avx512F.FusedMultiplyAdd(VectorExp.Exp(Vector512.Load(scores + (h * headStride) + t) - Vector512.Create(max[h])), Vector512.Create(inverse[h]), total);
                total.StoreAligned(weights + t);
            }
        }

        // What has many registers live is not inlined: past the compiler's limits they would live in memory.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void ScoreHeads<THeads>(byte** rows, in DecodeAhead ahead, ref long* line, int count, float* queries, int headDim, float* scores)
            where THeads : struct, ITile
        {
            long* next = line;
            for (int t = 0; t < count; t += 4)
            {
                long* fetched = next = ahead.Clamp(next);
                // A short last tile repeats its last row; what it stores past the count is overwritten or ignored.
                int last = Math.Min(t + 3, count - 1);
                byte* r0 = rows[t], r1 = rows[Math.Min(t + 1, last)], r2 = rows[Math.Min(t + 2, last)], r3 = rows[last];
                if (!ScoreTile<THeads, TPlain>(r0, r1, r2, r3, ref next, queries, headDim, scores + t)) ScoreTileAgain<THeads>(r0, r1, r2, r3, fetched, queries, headDim, scores + t);
            }

            line = next;
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void ScoreTileAgain<THeads>(byte* r0, byte* r1, byte* r2, byte* r3, long* line, float* queries, int headDim, float* scores)
            where THeads : struct, ITile
            => ScoreTile<THeads, TRow>(r0, r1, r2, r3, ref line, queries, headDim, scores);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static bool ScoreTile<THeads, TLoad>(byte* r0, byte* r1, byte* r2, byte* r3, ref long* line, float* queries, int headDim, float* scores)
            where THeads : struct, ITile
            where TLoad : struct, ICacheRow
        {
            Quad512 a0 = default, a1 = default, a2 = default, a3 = default;
            Vector512<ushort> seen = Vector512<ushort>.AllBitsSet;
            float* q = queries;
            int rowBytes = headDim * TLoad.Size, i = 0;
            for (; i + (32 * TLoad.Size) <= rowBytes; i += 32 * TLoad.Size, q += 32)
            {
                DecodeAhead.Fetch(ref line, 4 * 32 * TLoad.Size / ReadAhead.Line);
                TLoad.Load(r0 + i, ref seen, out Vector512<float> e0, out Vector512<float> o0);
                TLoad.Load(r1 + i, ref seen, out Vector512<float> e1, out Vector512<float> o1);
                TLoad.Load(r2 + i, ref seen, out Vector512<float> e2, out Vector512<float> o2);
                TLoad.Load(r3 + i, ref seen, out Vector512<float> e3, out Vector512<float> o3);
                MultiplyHead<THeads>(q, 0, headDim, e0, e1, e2, e3, ref a0);
                MultiplyHead<THeads>(q, 1, headDim, e0, e1, e2, e3, ref a1);
                MultiplyHead<THeads>(q, 2, headDim, e0, e1, e2, e3, ref a2);
                MultiplyHead<THeads>(q, 3, headDim, e0, e1, e2, e3, ref a3);
                // One head alone has spare accumulators: two chains a row hide the latency.
                if (THeads.Count == 1) MultiplyHead<THeads>(q + 16, 0, headDim, o0, o1, o2, o3, ref a3);
                else MultiplyHead<THeads>(q + 16, 0, headDim, o0, o1, o2, o3, ref a0);
                MultiplyHead<THeads>(q + 16, 1, headDim, o0, o1, o2, o3, ref a1);
                MultiplyHead<THeads>(q + 16, 2, headDim, o0, o1, o2, o3, ref a2);
                MultiplyHead<THeads>(q + 16, 3, headDim, o0, o1, o2, o3, ref a3);
            }

            if (i < rowBytes)
            {
                Vector512<float> x0 = TLoad.LoadTail(r0 + i, ref seen), x1 = TLoad.LoadTail(r1 + i, ref seen), x2 = TLoad.LoadTail(r2 + i, ref seen), x3 = TLoad.LoadTail(r3 + i, ref seen);
                MultiplyHead<THeads>(q, 0, headDim, x0, x1, x2, x3, ref a0);
                MultiplyHead<THeads>(q, 1, headDim, x0, x1, x2, x3, ref a1);
                MultiplyHead<THeads>(q, 2, headDim, x0, x1, x2, x3, ref a2);
                MultiplyHead<THeads>(q, 3, headDim, x0, x1, x2, x3, ref a3);
            }

            if (THeads.Count == 1) a0 += a3;
            StoreScores(a0, scores);
            if (THeads.Count > 1) StoreScores(a1, scores + DecodeBlock.Capacity);
            if (THeads.Count > 2) StoreScores(a2, scores + (2 * DecodeBlock.Capacity));
            if (THeads.Count > 3) StoreScores(a3, scores + (3 * DecodeBlock.Capacity));
            return TLoad.AllRight(seen);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void MultiplyHead<THeads>(float* queries, int head, int headDim, Vector512<float> x0, Vector512<float> x1, Vector512<float> x2, Vector512<float> x3, ref Quad512 sums)
            where THeads : struct, ITile
        {
            if (head >= THeads.Count) return;
            Vector512<float> q = Vector512.LoadAligned(queries + (head * headDim));
            sums.V0 = Avx512F.FusedMultiplyAdd(x0, q, sums.V0);
            sums.V1 = Avx512F.FusedMultiplyAdd(x1, q, sums.V1);
            sums.V2 = Avx512F.FusedMultiplyAdd(x2, q, sums.V2);
            sums.V3 = Avx512F.FusedMultiplyAdd(x3, q, sums.V3);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void StoreScores(in Quad512 sums, float* scores)
        {
            Vector128<float> four = sums.Sum();
            (TRow.ResultScale == 1 ? four : four * Vector128.Create(TRow.ResultScale)).Store(scores);
        }

        // The heads go together: their horizontal steps share one tree, and their chains overlap.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void SoftmaxHeads<THeads>(float* scores, int count, float* max, float* sum, float* rescale)
            where THeads : struct, ITile
        {
            float* s0 = scores, s1 = s0 + DecodeBlock.Capacity, s2 = s1 + DecodeBlock.Capacity, s3 = s2 + DecodeBlock.Capacity;
            int padded = (count + 15) & ~15;
            for (int t = count; t < padded; t++)
            {
                s0[t] = float.NegativeInfinity;
                if (THeads.Count > 1) s1[t] = float.NegativeInfinity;
                if (THeads.Count > 2) s2[t] = float.NegativeInfinity;
                if (THeads.Count > 3) s3[t] = float.NegativeInfinity;
            }

            Quad512 high = default;
            high.V0 = high.V1 = high.V2 = high.V3 = Vector512.Create(float.MinValue);
            for (int t = 0; t < padded; t += 16)
            {
                high.V0 = Avx512F.Max(high.V0, Vector512.LoadAligned(s0 + t));
                if (THeads.Count > 1) high.V1 = Avx512F.Max(high.V1, Vector512.LoadAligned(s1 + t));
                if (THeads.Count > 2) high.V2 = Avx512F.Max(high.V2, Vector512.LoadAligned(s2 + t));
                if (THeads.Count > 3) high.V3 = Avx512F.Max(high.V3, Vector512.LoadAligned(s3 + t));
            }

            Vector128<float> before = Vector128.LoadAligned(max);
            Vector128<float> now = Sse.Max(before, high.Max());
            now.StoreAligned(max);
            Vector128<float> factor = VectorExp.Exp((before - now).ToVector256Unsafe().ToVector512Unsafe()).GetLower().GetLower();
            factor.StoreAligned(rescale);
            Quad512 total = default;
            Vector512<float> m0 = Vector512.Create(max[0]), m1 = Vector512.Create(max[1]), m2 = Vector512.Create(max[2]), m3 = Vector512.Create(max[3]);
            for (int t = 0; t < padded; t += 16)
            {
                total.V0 += Exponentiate(s0 + t, m0);
                if (THeads.Count > 1) total.V1 += Exponentiate(s1 + t, m1);
                if (THeads.Count > 2) total.V2 += Exponentiate(s2 + t, m2);
                if (THeads.Count > 3) total.V3 += Exponentiate(s3 + t, m3);
            }

            ((Vector128.LoadAligned(sum) * factor) + total.Sum()).StoreAligned(sum);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector512<float> Exponentiate(float* scores, Vector512<float> max)
        {
            Vector512<float> p = VectorExp.Exp(Vector512.LoadAligned(scores) - max);
            (TRow.OperandScale == 1 ? p : Operand(p)).StoreAligned(scores);
            return p;
        }

        // What would become subnormal is 0: many processors multiply subnormal numbers a hundred times slower, and beside the largest,
        // which is 1, it is nothing. NaN stays.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector512<float> Operand(Vector512<float> p)
            => Vector512.AndNot(p, Vector512.LessThan(p, Vector512.Create(SmallestNormal / TRow.OperandScale))) * Vector512.Create(TRow.OperandScale);

        private static void AccumulateHeads<THeads>(byte** rows, in DecodeAhead ahead, ref long* line, int count, float* probabilities, float* rescale, int headDim, float* sums)
            where THeads : struct, ITile
        {
            int d = 0;
            for (; d + 64 <= headDim; d += 64) AccumulateWidth<THeads, Four>(rows, ahead, ref line, count, d * TRow.Size, probabilities, rescale, headDim, sums + d);
            if (d + 32 <= headDim)
            {
                AccumulateWidth<THeads, Two>(rows, ahead, ref line, count, d * TRow.Size, probabilities, rescale, headDim, sums + d);
                d += 32;
            }

            if (d < headDim) AccumulateWidth<THeads, One>(rows, ahead, ref line, count, d * TRow.Size, probabilities, rescale, headDim, sums + d);
        }

        private static void AccumulateWidth<THeads, TWidth>(byte** rows, in DecodeAhead ahead, ref long* line, int count, int offset, float* probabilities, float* rescale, int headDim, float* sums)
            where THeads : struct, ITile
            where TWidth : struct, ITile
        {
            if (!AccumulateSlice<THeads, TWidth, TPlain>(rows, ahead, ref line, count, offset, probabilities, rescale, headDim, sums))
                AccumulateSlice<THeads, TWidth, TRow>(rows, ahead, ref line, count, offset, probabilities, rescale, headDim, sums);
        }

        // Elements [offset, offset + 16 width) of every row. With one or two heads the spare accumulators take other rows. What did not
        // come out right is not stored.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static bool AccumulateSlice<THeads, TWidth, TLoad>(byte** rows, in DecodeAhead ahead, ref long* line, nint count, nint offset, float* probabilities, float* rescale, int headDim, float* sums)
            where THeads : struct, ITile
            where TWidth : struct, ITile
            where TLoad : struct, ICacheRow
        {
            Vector512<ushort> seen = Vector512<ushort>.AllBitsSet;
            Quad512 a0 = LoadSums<TWidth>(sums, rescale[0]), a1 = default, a2 = default, a3 = default;
            if (THeads.Count > 1) a1 = LoadSums<TWidth>(sums + headDim, rescale[1]);
            if (THeads.Count > 2) a2 = LoadSums<TWidth>(sums + (2 * headDim), rescale[2]);
            if (THeads.Count > 3) a3 = LoadSums<TWidth>(sums + (3 * headDim), rescale[3]);
            long* next = line;
            nint t = 0;
            for (; t + 4 <= count; t += 4)
            {
                next = ahead.Clamp(next);
                if (THeads.Count == 1)
                {
                    AddRow<One, TWidth, TLoad>(rows, t, offset, probabilities, ref next, ref seen, ref a0, ref a1, ref a2, ref a3);
                    AddRow<One, TWidth, TLoad>(rows, t + 1, offset, probabilities, ref next, ref seen, ref a1, ref a2, ref a3, ref a0);
                    AddRow<One, TWidth, TLoad>(rows, t + 2, offset, probabilities, ref next, ref seen, ref a2, ref a3, ref a0, ref a1);
                    AddRow<One, TWidth, TLoad>(rows, t + 3, offset, probabilities, ref next, ref seen, ref a3, ref a0, ref a1, ref a2);
                }
                else if (THeads.Count == 2)
                {
                    AddRow<Two, TWidth, TLoad>(rows, t, offset, probabilities, ref next, ref seen, ref a0, ref a1, ref a2, ref a3);
                    AddRow<Two, TWidth, TLoad>(rows, t + 1, offset, probabilities, ref next, ref seen, ref a2, ref a3, ref a0, ref a1);
                    AddRow<Two, TWidth, TLoad>(rows, t + 2, offset, probabilities, ref next, ref seen, ref a0, ref a1, ref a2, ref a3);
                    AddRow<Two, TWidth, TLoad>(rows, t + 3, offset, probabilities, ref next, ref seen, ref a2, ref a3, ref a0, ref a1);
                }
                else
                {
                    for (nint i = t; i < t + 4; i++) AddRow<THeads, TWidth, TLoad>(rows, i, offset, probabilities, ref next, ref seen, ref a0, ref a1, ref a2, ref a3);
                }
            }

            next = ahead.Clamp(next);
            for (; t < count; t++) AddRow<THeads, TWidth, TLoad>(rows, t, offset, probabilities, ref next, ref seen, ref a0, ref a1, ref a2, ref a3);
            line = next;
            if (!TLoad.AllRight(seen)) return false;
            if (THeads.Count == 1) a0 = a0 + a1 + (a2 + a3);
            if (THeads.Count == 2) (a0, a1) = (a0 + a2, a1 + a3);
            StoreSums<TWidth>(a0, sums);
            if (THeads.Count > 1) StoreSums<TWidth>(a1, sums + headDim);
            if (THeads.Count > 2) StoreSums<TWidth>(a2, sums + (2 * headDim));
            if (THeads.Count > 3) StoreSums<TWidth>(a3, sums + (3 * headDim));
            return true;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void AddRow<THeads, TWidth, TLoad>(byte** rows, nint t, nint offset, float* probabilities, ref long* line, ref Vector512<ushort> seen, ref Quad512 a0, ref Quad512 a1, ref Quad512 a2, ref Quad512 a3)
            where THeads : struct, ITile
            where TWidth : struct, ITile
            where TLoad : struct, ICacheRow
        {
            DecodeAhead.Fetch(ref line, Math.Max(1, 16 * TWidth.Count * TLoad.Size / ReadAhead.Line));
            Quad512 row = LoadRow<TWidth, TLoad>(rows[t] + offset, ref seen);
            Add<TWidth>(row, probabilities[t], ref a0);
            if (THeads.Count > 1) Add<TWidth>(row, probabilities[DecodeBlock.Capacity + t], ref a1);
            if (THeads.Count > 2) Add<TWidth>(row, probabilities[(2 * DecodeBlock.Capacity) + t], ref a2);
            if (THeads.Count > 3) Add<TWidth>(row, probabilities[(3 * DecodeBlock.Capacity) + t], ref a3);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Quad512 LoadSums<TWidth>(float* sums, float rescale)
            where TWidth : struct, ITile
        {
            Vector512<float> factor = Vector512.Create(rescale);
            Quad512 quad = default;
            quad.V0 = Vector512.LoadAligned(sums) * factor;
            if (TWidth.Count > 1) quad.V1 = Vector512.LoadAligned(sums + 16) * factor;
            if (TWidth.Count > 2) quad.V2 = Vector512.LoadAligned(sums + 32) * factor;
            if (TWidth.Count > 3) quad.V3 = Vector512.LoadAligned(sums + 48) * factor;
            return quad;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void StoreSums<TWidth>(in Quad512 quad, float* sums)
            where TWidth : struct, ITile
        {
            quad.V0.StoreAligned(sums);
            if (TWidth.Count > 1) quad.V1.StoreAligned(sums + 16);
            if (TWidth.Count > 2) quad.V2.StoreAligned(sums + 32);
            if (TWidth.Count > 3) quad.V3.StoreAligned(sums + 48);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Quad512 LoadRow<TWidth, TLoad>(byte* source, ref Vector512<ushort> seen)
            where TWidth : struct, ITile
            where TLoad : struct, ICacheRow
        {
            Quad512 quad = default;
            if (TWidth.Count == 1) quad.V0 = TLoad.LoadTail(source, ref seen);
            else TLoad.Load(source, ref seen, out quad.V0, out quad.V1);
            if (TWidth.Count == 4) TLoad.Load(source + (32 * TLoad.Size), ref seen, out quad.V2, out quad.V3);
            return quad;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Add<TWidth>(in Quad512 row, float probability, ref Quad512 sums)
            where TWidth : struct, ITile
        {
            Vector512<float> p = Vector512.Create(probability);
            sums.V0 = Avx512F.FusedMultiplyAdd(row.V0, p, sums.V0);
            if (TWidth.Count > 1) sums.V1 = Avx512F.FusedMultiplyAdd(row.V1, p, sums.V1);
            if (TWidth.Count > 2) sums.V2 = Avx512F.FusedMultiplyAdd(row.V2, p, sums.V2);
            if (TWidth.Count > 3) sums.V3 = Avx512F.FusedMultiplyAdd(row.V3, p, sums.V3);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static (Vector512<float> Even, Vector512<float> Odd) Part(Vector512<float> low, Vector512<float> high) => (
            Avx512F.PermuteVar16x32x2(low, Vector512.Create(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), high),
            Avx512F.PermuteVar16x32x2(low, Vector512.Create(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), high));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static (Vector512<float> Low, Vector512<float> High) Join(Vector512<float> even, Vector512<float> odd) => (
            Avx512F.PermuteVar16x32x2(even, Vector512.Create(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), odd),
            Avx512F.PermuteVar16x32x2(even, Vector512.Create(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), odd));
    }
}
