using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Equip.Kernels.Attention;

/// <summary>
/// Moves between rows, one a lane at any offsets, and blocks <c>[element, lane]</c>. Four by four where there are four
/// lanes, which the scalar path never has.
/// </summary>
internal static unsafe class PrefillTranspose
{
    /// <summary>block[element, lane] = rows[offsets[lane] + element] * scale.</summary>
    public static void ToBlock(float* rows, long* offsets, int lanes, int elements, float scale, float* block, int stride)
    {
        int lane = 0;
        for (; lane + 8 <= lanes; lane += 8)
        {
            float* r0 = rows + offsets[lane], r1 = rows + offsets[lane + 1], r2 = rows + offsets[lane + 2], r3 = rows + offsets[lane + 3];
            float* r4 = rows + offsets[lane + 4], r5 = rows + offsets[lane + 5], r6 = rows + offsets[lane + 6], r7 = rows + offsets[lane + 7];
            float* target = block + lane;
            Vector256<float> factor = Vector256.Create(scale);
            for (int e = 0; e < elements; e += 4, target += 4 * stride)
            {
                Vector256<float> a = Pair(r0 + e, r4 + e), b = Pair(r1 + e, r5 + e), c = Pair(r2 + e, r6 + e), d = Pair(r3 + e, r7 + e);
                Transpose(ref a, ref b, ref c, ref d);
                (a * factor).Store(target);
                (b * factor).Store(target + stride);
                (c * factor).Store(target + (2 * stride));
                (d * factor).Store(target + (3 * stride));
            }
        }

        for (; lane < lanes; lane++)
        {
            float* row = rows + offsets[lane];
            for (int e = 0; e < elements; e++) block[(e * stride) + lane] = row[e] * scale;
        }
    }

    /// <summary>rows[offsets[lane] + element] = block[element, lane].</summary>
    public static void ToRows(float* block, int stride, float* rows, long* offsets, int lanes, int elements)
    {
        int lane = 0;
        for (; lane + 8 <= lanes; lane += 8)
        {
            float* r0 = rows + offsets[lane], r1 = rows + offsets[lane + 1], r2 = rows + offsets[lane + 2], r3 = rows + offsets[lane + 3];
            float* r4 = rows + offsets[lane + 4], r5 = rows + offsets[lane + 5], r6 = rows + offsets[lane + 6], r7 = rows + offsets[lane + 7];
            float* source = block + lane;
            int e = 0;
            for (; e + 4 <= elements; e += 4, source += 4 * stride)
            {
                Vector256<float> a = Vector256.Load(source), b = Vector256.Load(source + stride), c = Vector256.Load(source + (2 * stride)), d = Vector256.Load(source + (3 * stride));
                Transpose(ref a, ref b, ref c, ref d);
                Split(a, r0 + e, r4 + e);
                Split(b, r1 + e, r5 + e);
                Split(c, r2 + e, r6 + e);
                Split(d, r3 + e, r7 + e);
            }

            for (; e < elements; e++, source += stride)
            {
                (r0[e], r1[e], r2[e], r3[e]) = (source[0], source[1], source[2], source[3]);
                (r4[e], r5[e], r6[e], r7[e]) = (source[4], source[5], source[6], source[7]);
            }
        }

        for (; lane < lanes; lane++)
        {
            float* row = rows + offsets[lane];
            for (int e = 0; e < elements; e++) row[e] = block[(e * stride) + lane];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Pair(float* low, float* high) => Vector256.Create(Vector128.Load(low), Vector128.Load(high));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Split(Vector256<float> pair, float* low, float* high)
    {
        pair.GetLower().Store(low);
        pair.GetUpper().Store(high);
    }

    // Four by four in each half.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose(ref Vector256<float> a, ref Vector256<float> b, ref Vector256<float> c, ref Vector256<float> d)
    {
        Vector256<float> abLow = Avx.UnpackLow(a, b), abHigh = Avx.UnpackHigh(a, b), cdLow = Avx.UnpackLow(c, d), cdHigh = Avx.UnpackHigh(c, d);
        a = Avx.Shuffle(abLow, cdLow, 0x44);
        b = Avx.Shuffle(abLow, cdLow, 0xEE);
        c = Avx.Shuffle(abHigh, cdHigh, 0x44);
        d = Avx.Shuffle(abHigh, cdHigh, 0xEE);
    }
}
