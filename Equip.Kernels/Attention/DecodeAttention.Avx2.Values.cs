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
                AccumulateWide<THeads>(rows, ahead, ref line, count, d * TRow.Size, probabilities, rescale, headDim, sums + d);
            for (; d < headDim; d += 16) AccumulateSlice<THeads>(rows, ahead, ref line, count, d * TRow.Size, probabilities, rescale, headDim, sums + d);
        }

        // 64 elements of every row for one head, 32 for two: the eight accumulators.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void AccumulateWide<THeads>(byte** rows, in DecodeAhead ahead, ref long* line, nint count, nint offset, float* probabilities, float* rescale, int headDim, float* sums)
            where THeads : struct, ITile
        {
            float* other = THeads.Count == 1 ? sums + 32 : sums + headDim;
            Pair256 a0 = Pair256.Load(sums, rescale[0]), a1 = Pair256.Load(sums + 16, rescale[0]);
            Pair256 a2 = Pair256.Load(other, rescale[THeads.Count - 1]), a3 = Pair256.Load(other + 16, rescale[THeads.Count - 1]);
            long* next = line;
            for (nint t = 0; t < count; t++)
            {
                if (t % 4 == 0) next = ahead.Clamp(next);
                DecodeAhead.Fetch(ref next, Wide / THeads.Count * TRow.Size / ReadAhead.Line);
                byte* row = rows[t] + offset;
                Vector256<ushort> seen = Vector256.Min(TPlain.Watch(row), TPlain.Watch(row + (16 * TRow.Size)));
                if (THeads.Count == 1) seen = Vector256.Min(seen, Vector256.Min(TPlain.Watch(row + (32 * TRow.Size)), TPlain.Watch(row + (48 * TRow.Size))));
                if (TPlain.AllRight(seen)) AddWideRow<THeads, TPlain>(row, probabilities + t, ref a0, ref a1, ref a2, ref a3);
                else AddWideRow<THeads, TRow>(row, probabilities + t, ref a0, ref a1, ref a2, ref a3);
            }

            line = next;
            a0.Store(sums);
            a1.Store(sums + 16);
            a2.Store(other);
            a3.Store(other + 16);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void AddWideRow<THeads, TLoad>(byte* row, float* probability, ref Pair256 a0, ref Pair256 a1, ref Pair256 a2, ref Pair256 a3)
            where THeads : struct, ITile
            where TLoad : struct, ICacheRow
        {
            Pair256 first = LoadRow<TLoad>(row), second = LoadRow<TLoad>(row + (16 * TLoad.Size));
            a0.Add(first, *probability);
            a1.Add(second, *probability);
            if (THeads.Count == 1)
            {
                a2.Add(LoadRow<TLoad>(row + (32 * TLoad.Size)), *probability);
                a3.Add(LoadRow<TLoad>(row + (48 * TLoad.Size)), *probability);
            }
            else
            {
                a2.Add(first, probability[DecodeBlock.Capacity]);
                a3.Add(second, probability[DecodeBlock.Capacity]);
            }
        }

        // 16 elements of every row.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void AccumulateSlice<THeads>(byte** rows, in DecodeAhead ahead, ref long* line, nint count, nint offset, float* probabilities, float* rescale, int headDim, float* sums)
            where THeads : struct, ITile
        {
            Pair256 a0 = Pair256.Load(sums, rescale[0]), a1 = default, a2 = default, a3 = default;
            if (THeads.Count > 1) a1 = Pair256.Load(sums + headDim, rescale[1]);
            if (THeads.Count > 2) a2 = Pair256.Load(sums + (2 * headDim), rescale[2]);
            if (THeads.Count > 3) a3 = Pair256.Load(sums + (3 * headDim), rescale[3]);
            long* next = line;
            nint t = 0;
            for (; t + 4 <= count; t += 4)
            {
                next = ahead.Clamp(next);
                DecodeAhead.Fetch(ref next, 4 * 16 * TRow.Size / ReadAhead.Line);
                byte** four = rows + t;
                float* weights = probabilities + t;
                Vector256<ushort> seen = Vector256.Min(
                    Vector256.Min(TPlain.Watch(four[0] + offset), TPlain.Watch(four[1] + offset)),
                    Vector256.Min(TPlain.Watch(four[2] + offset), TPlain.Watch(four[3] + offset)));
                if (TPlain.AllRight(seen)) AddFourRows<THeads, TPlain>(four, offset, weights, ref a0, ref a1, ref a2, ref a3);
                else AddFourRows<THeads, TRow>(four, offset, weights, ref a0, ref a1, ref a2, ref a3);
            }

            for (; t < count; t++) AddRow<THeads, TRow>(rows[t] + offset, probabilities + t, ref a0, ref a1, ref a2, ref a3);
            line = next;
            a0.Store(sums);
            if (THeads.Count > 1) a1.Store(sums + headDim);
            if (THeads.Count > 2) a2.Store(sums + (2 * headDim));
            if (THeads.Count > 3) a3.Store(sums + (3 * headDim));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void AddFourRows<THeads, TLoad>(byte** four, nint offset, float* probabilities, ref Pair256 a0, ref Pair256 a1, ref Pair256 a2, ref Pair256 a3)
            where THeads : struct, ITile
            where TLoad : struct, ICacheRow
        {
            AddRow<THeads, TLoad>(four[0] + offset, probabilities, ref a0, ref a1, ref a2, ref a3);
            AddRow<THeads, TLoad>(four[1] + offset, probabilities + 1, ref a0, ref a1, ref a2, ref a3);
            AddRow<THeads, TLoad>(four[2] + offset, probabilities + 2, ref a0, ref a1, ref a2, ref a3);
            AddRow<THeads, TLoad>(four[3] + offset, probabilities + 3, ref a0, ref a1, ref a2, ref a3);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void AddRow<THeads, TLoad>(byte* source, float* probability, ref Pair256 a0, ref Pair256 a1, ref Pair256 a2, ref Pair256 a3)
            where THeads : struct, ITile
            where TLoad : struct, ICacheRow
        {
            Pair256 row = LoadRow<TLoad>(source);
            a0.Add(row, *probability);
            if (THeads.Count > 1) a1.Add(row, probability[DecodeBlock.Capacity]);
            if (THeads.Count > 2) a2.Add(row, probability[2 * DecodeBlock.Capacity]);
            if (THeads.Count > 3) a3.Add(row, probability[3 * DecodeBlock.Capacity]);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Pair256 LoadRow<TLoad>(byte* source)
            where TLoad : struct, ICacheRow
        {
            Pair256 pair = default;
            Vector256<ushort> seen = default;
            TLoad.Load(source, ref seen, out pair.Even, out pair.Odd);
            return pair;
        }
    }
}
