using Equip.Kernels.Attention;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;

namespace Equip.Tests.Reference;

/// <summary>Decode attention in plain double loops.</summary>
internal static unsafe class ReferenceAttention
{
    /// <summary>
    /// Output <c>[streams, group, headDim]</c>. Column weights go to <paramref name="weights"/>, one array a run, if given.
    /// </summary>
    public static double[] Decode(in AttentionShape shape, ReadOnlySpan<AttentionRun> runs, ReadOnlySpan<int> firstRun, double[]?[]? weights = null, RopeTable? keyRotation = null)
    {
        int streams = firstRun.Length - 1, group = shape.Group, headDim = shape.HeadDim;
        double[] output = new double[streams * group * headDim];
        for (int s = 0; s < streams; s++)
        {
            (int begin, int end) = (firstRun[s], firstRun[s + 1]);
            double[][] keys = new double[end - begin][], values = new double[end - begin][];
            for (int r = begin; r < end; r++)
            {
                keys[r - begin] = Elements(runs[r].Keys, shape.CacheType, runs[r].Tokens * headDim);
                for (int t = 0; runs[r].Ranks != null && t < runs[r].Tokens; t++) Rotate(keys[r - begin].AsSpan(t * headDim, headDim), keyRotation!, runs[r].Ranks[t]);
                values[r - begin] = Elements(runs[r].Values, shape.CacheType, runs[r].Tokens * headDim);
                if (weights is not null) weights[r] = new double[runs[r].Tokens];
            }

            for (int h = 0; h < group; h++)
            {
                List<double> scores = [];
                for (int r = begin; r < end; r++)
                {
                    for (int t = 0; t < runs[r].Tokens; t++)
                    {
                        double score = 0;
                        for (int d = 0; d < headDim; d++) score += runs[r].Queries[(h * headDim) + d] * keys[r - begin][(t * headDim) + d];
                        scores.Add(score * shape.Scale);
                    }
                }

                double max = double.NegativeInfinity, sum = 0;
                foreach (double score in scores) max = Math.Max(max, score);
                if (double.IsNegativeInfinity(max)) continue;
                foreach (double score in scores) sum += Math.Exp(score - max);
                int row = 0;
                for (int r = begin; r < end; r++)
                {
                    for (int t = 0; t < runs[r].Tokens; t++, row++)
                    {
                        double p = Math.Exp(scores[row] - max) / sum;
                        if (weights is not null) weights[r]![t] += p;
                        for (int d = 0; d < headDim; d++) output[(((s * group) + h) * headDim) + d] += p * values[r - begin][(t * headDim) + d];
                    }
                }
            }
        }

        return output;
    }

    /// <summary>One row by its own angles, in double.</summary>
    private static void Rotate(Span<double> row, RopeTable table, int rotation)
    {
        for (int i = 0; i < table.Pairs; i++)
        {
            (int first, int second) = table.Options.Layout == RopeLayout.HalfSplit ? (i, i + table.Pairs) : (2 * i, (2 * i) + 1);
            (double sin, double cos) = Math.SinCos(rotation * table.InverseFrequencies[i]);
            (double x, double y) = (row[first] * table.AttentionFactor, row[second] * table.AttentionFactor);
            (row[first], row[second]) = ((x * cos) - (y * sin), (y * cos) + (x * sin));
        }
    }

    private static double[] Elements(void* memory, DataType type, int count)
    {
        double[] elements = new double[count];
        for (int i = 0; i < count; i++) elements[i] = Element(memory, type, i);
        return elements;
    }

    /// <summary>Element <paramref name="index"/> of stored memory.</summary>
    public static double Element(void* memory, DataType type, long index) => type switch
    {
        DataType.F32 => ((float*)memory)[index],
        DataType.F16 => (double)((Half*)memory)[index],
        DataType.BF16 => BitConverter.UInt32BitsToSingle((uint)((ushort*)memory)[index] << 16),
        _ => throw new ArgumentOutOfRangeException(nameof(type)),
    };
}
