using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Attention;

public static partial class DecodeAttention
{
    /// <summary>
    /// 256-bit path. Sixteen registers hold eight accumulators: score tiles of 2 rows x 4 heads or 4 rows x 2 heads, value tiles of
    /// 4 heads x 16 elements, 2 x 32 or 1 x 64.
    /// </summary>
    internal readonly unsafe partial struct Avx2Path<TRow, TPlain> : IDecodePath
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
                    total = Fma.MultiplyAdd(VectorExp.ExpToOne(Vector256.Load(scores + (h * headStride) + t) - Vector256.Create(max[h])), Vector256.Create(inverse[h]), total);
                total.StoreAligned(weights + t);
            }
        }

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
            Vector128<float> factor = VectorExp.ExpToOne((before - now).ToVector256Unsafe()).GetLower();
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
                Vector256<float> p = VectorExp.ExpToOne(Vector256.LoadAligned(scores + t) - Vector256.Create(max));
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
    }
}
