using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Equip.Kernels.Memory;

namespace Equip.Kernels.Attention;

public static partial class DecodeAttention
{
    /// <content>Sums of value rows by their probabilities.</content>
    internal readonly unsafe partial struct Avx2Path<TRow, TPlain>
    {
        // Floats of eight accumulators.
        private const int Wide = 64;

        private static void AccumulateHeads<THeads>(byte** rows, in DecodeAhead ahead, ref long* line, int count, float* probabilities, float* rescale, int headDim, float* sums)
            where THeads : struct, ITile
        {
            int d = 0;
            for (; THeads.Count <= 2 && d + (Wide / THeads.Count) <= headDim; d += Wide / THeads.Count)
            {
                if (!AccumulateWide<THeads, TPlain>(rows, ahead, ref line, count, d * TRow.Size, probabilities, rescale, headDim, sums + d))
                    AccumulateWide<THeads, TRow>(rows, ahead, ref line, count, d * TRow.Size, probabilities, rescale, headDim, sums + d);
            }

            for (; d < headDim; d += 16)
            {
                if (!AccumulateSlice<THeads, TPlain>(rows, ahead, ref line, count, d * TRow.Size, probabilities, rescale, headDim, sums + d))
                    AccumulateSlice<THeads, TRow>(rows, ahead, ref line, count, d * TRow.Size, probabilities, rescale, headDim, sums + d);
            }
        }

        // 64 elements of every row for one head, 32 for two: the eight accumulators.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static bool AccumulateWide<THeads, TLoad>(byte** rows, in DecodeAhead ahead, ref long* line, nint count, nint offset, float* probabilities, float* rescale, int headDim, float* sums)
            where THeads : struct, ITile
            where TLoad : struct, ICacheRow
        {
            Vector256<ushort> seen = Vector256<ushort>.AllBitsSet;
            float* other = THeads.Count == 1 ? sums + 32 : sums + headDim;
            Pair256 a0 = Pair256.Load(sums, rescale[0]), a1 = Pair256.Load(sums + 16, rescale[0]);
            Pair256 a2 = Pair256.Load(other, rescale[THeads.Count - 1]), a3 = Pair256.Load(other + 16, rescale[THeads.Count - 1]);
            long* next = line;
            for (nint t = 0; t < count; t++)
            {
                if (t % 4 == 0) next = ahead.Clamp(next);
                DecodeAhead.Fetch(ref next, Wide / THeads.Count * TLoad.Size / ReadAhead.Line);
                byte* row = rows[t] + offset;
                Pair256 first = LoadRow<TLoad>(row, ref seen), second = LoadRow<TLoad>(row + (16 * TLoad.Size), ref seen);
                a0.Add(first, probabilities[t]);
                a1.Add(second, probabilities[t]);
                if (THeads.Count == 1)
                {
                    a2.Add(LoadRow<TLoad>(row + (32 * TLoad.Size), ref seen), probabilities[t]);
                    a3.Add(LoadRow<TLoad>(row + (48 * TLoad.Size), ref seen), probabilities[t]);
                }
                else
                {
                    a2.Add(first, probabilities[DecodeBlock.Capacity + t]);
                    a3.Add(second, probabilities[DecodeBlock.Capacity + t]);
                }
            }

            line = next;
            if (!TLoad.AllRight(seen)) return false;
            a0.Store(sums);
            a1.Store(sums + 16);
            a2.Store(other);
            a3.Store(other + 16);
            return true;
        }

        // 16 elements of every row. What did not come out right is not stored.
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
                DecodeAhead.Fetch(ref next, 4 * 16 * TLoad.Size / ReadAhead.Line);
                byte** four = rows + t;
                float* weights = probabilities + t;
                AddRow<THeads, TLoad>(four, 0, offset, weights, ref seen, ref a0, ref a1, ref a2, ref a3);
                AddRow<THeads, TLoad>(four, 1, offset, weights, ref seen, ref a0, ref a1, ref a2, ref a3);
                AddRow<THeads, TLoad>(four, 2, offset, weights, ref seen, ref a0, ref a1, ref a2, ref a3);
                AddRow<THeads, TLoad>(four, 3, offset, weights, ref seen, ref a0, ref a1, ref a2, ref a3);
            }

            for (; t < count; t++) AddRow<THeads, TLoad>(rows, t, offset, probabilities, ref seen, ref a0, ref a1, ref a2, ref a3);
            line = next;
            if (!TLoad.AllRight(seen)) return false;
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
