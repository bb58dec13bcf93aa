using Equip.Kernels.Numerics;

namespace Equip.Kernels.Attention;

public static partial class DecodeAttention
{
    /// <summary>Plain path: every row is widened once for all heads.</summary>
    internal readonly unsafe struct ScalarPath<TRow> : IDecodePath
        where TRow : struct, ICacheRow
    {
        public static void PrepareQueries(float* queries, int group, int headDim, float scale, float* prepared)
        {
            for (long d = 0; d < (long)group * headDim; d++) prepared[d] = queries[d] * scale;
        }

        public static void Score(byte** rows, in DecodeAhead ahead, ref long* line, int count, float* queries, int group, int headDim, float* scores)
        {
            float* row = stackalloc float[AttentionShape.MaxHeadDim];
            for (int t = 0; t < count; t++)
            {
                for (int d = 0; d < headDim; d++) row[d] = TRow.Load(rows[t], d);
                for (int h = 0; h < group; h++)
                {
                    float* q = queries + ((long)h * headDim);
                    // Four chains: one would wait for each addition.
                    float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
                    for (int d = 0; d < headDim; d += 4)
                    {
                        s0 += row[d] * q[d];
                        s1 += row[d + 1] * q[d + 1];
                        s2 += row[d + 2] * q[d + 2];
                        s3 += row[d + 3] * q[d + 3];
                    }

                    scores[(h * DecodeBlock.Capacity) + t] = s0 + s1 + (s2 + s3);
                }
            }
        }

        public static void Softmax(float* scores, int count, int group, float* max, float* sum, float* rescale)
        {
            for (int h = 0; h < group; h++, scores += DecodeBlock.Capacity)
            {
                float high = max[h], total = 0;
                for (int t = 0; t < count; t++)
                    if (scores[t] > high) high = scores[t];
                for (int t = 0; t < count; t++) total += scores[t] = VectorExp.Exp(scores[t] - high);
                rescale[h] = VectorExp.Exp(max[h] - high);
                max[h] = high;
                sum[h] = (sum[h] * rescale[h]) + total;
            }
        }

        public static void Accumulate(byte** rows, in DecodeAhead ahead, int count, float* probabilities, float* rescale, int group, int headDim, float* sums)
        {
            float* row = stackalloc float[AttentionShape.MaxHeadDim];
            for (int h = 0; h < group; h++)
                for (int d = 0; d < headDim; d++) sums[((long)h * headDim) + d] *= rescale[h];
            for (int t = 0; t < count; t++)
            {
                for (int d = 0; d < headDim; d++) row[d] = TRow.Load(rows[t], d);
                for (int h = 0; h < group; h++) AddScaled(row, probabilities[(h * DecodeBlock.Capacity) + t], headDim, sums + ((long)h * headDim));
            }
        }

        public static void Finish(float* sums, int headDim, float factor, float* output)
        {
            for (int d = 0; d < headDim; d++) output[d] = sums[d] * factor;
        }

        public static void AddScaled(float* source, float factor, int count, float* sums)
        {
            for (int d = 0; d < count; d++) sums[d] += source[d] * factor;
        }

        public static void ColumnWeights(float* scores, long headStride, int count, int group, float* max, float* inverse, float* weights)
        {
            for (int t = 0; t < count; t++)
            {
                float total = 0;
                for (int h = 0; h < group; h++) total += VectorExp.Exp(scores[(h * headStride) + t] - max[h]) * inverse[h];
                weights[t] = total;
            }
        }
    }
}
