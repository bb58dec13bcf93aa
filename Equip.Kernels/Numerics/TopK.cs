using System.Buffers;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Equip.Kernels.Numerics;

/// <summary>
/// Selection of the largest values. Ties go to the lower index; NaN sorts lowest, and -0 equals 0. Values are only compared,
/// so there is one path for all processors. The threshold is found by bisection over the float32 numbers: at most 32 counting
/// passes, usually about 20, whatever the values are.
/// </summary>
public static class TopK
{
    // Order-preserving integers of the infinities; see Key.
    private const int LowestKey = unchecked((int)0x80800000), HighestKey = 0x7f800000;

    /// <summary>Writes the indices of the <paramref name="indices"/>.Length largest values, ascending by index.</summary>
    /// <param name="values">Candidates.</param>
    /// <param name="indices">Receives the indices; at most as long as <paramref name="values"/>.</param>
    /// <exception cref="ArgumentException">More indices than values.</exception>
    public static void Select(ReadOnlySpan<float> values, Span<int> indices)
    {
        if (indices.Length > values.Length)
            throw new ArgumentException($"indices: got {indices.Length} elements, expected at most {values.Length}, the number of values", nameof(indices));
        if (indices.Length == 0) return;
        int numbers = CountFrom(values, float.NegativeInfinity);
        if (numbers <= indices.Length)
        {
            CollectWithNaN(values, indices.Length - numbers, indices);
            return;
        }

        float threshold = Threshold(values, indices.Length, out int ties);
        Collect(values, threshold, ties, indices);
    }

    /// <summary>Writes the indices of the <paramref name="indices"/>.Length largest values, largest value first, equal values by ascending index.</summary>
    /// <param name="values">Candidates.</param>
    /// <param name="indices">Receives the indices; at most as long as <paramref name="values"/>.</param>
    /// <exception cref="ArgumentException">More indices than values.</exception>
    public static void SelectOrdered(ReadOnlySpan<float> values, Span<int> indices)
    {
        Select(values, indices);
        ulong[] rented = ArrayPool<ulong>.Shared.Rent(Math.Max(1, indices.Length));
        Span<ulong> order = rented.AsSpan(0, indices.Length);
        for (int i = 0; i < order.Length; i++) order[i] = ((ulong)(int.MaxValue - (long)Key(values[indices[i]])) << 32) | (uint)indices[i];
        order.Sort();
        for (int i = 0; i < order.Length; i++) indices[i] = (int)(uint)order[i];
        ArrayPool<ulong>.Shared.Return(rented);
    }

    /// <summary>An integer that orders as the value does; NaN lowest, -0 as 0.</summary>
    private static int Key(float value)
    {
        if (float.IsNaN(value)) return int.MinValue;
        int bits = BitConverter.SingleToInt32Bits(value);
        return bits >= 0 ? bits : int.MinValue - bits;
    }

    /// <summary>The value whose <see cref="Key"/> is <paramref name="key"/>.</summary>
    private static float Value(int key) => BitConverter.Int32BitsToSingle(key >= 0 ? key : int.MinValue - key);

    /// <summary>
    /// The <paramref name="count"/>-th largest value, or a number between it and the next, and how many values equal to it
    /// belong to the selection. More than <paramref name="count"/> values are numbers.
    /// </summary>
    private static float Threshold(ReadOnlySpan<float> values, int count, out int ties)
    {
        // At least count values reach low; fewer, above of them, reach high.
        long low = LowestKey, high = HighestKey + 1L;
        int above = 0;
        while (high - low > 1)
        {
            long middle = (low + high) >> 1;
            int reached = CountFrom(values, Value((int)middle));
            if (reached == count)
            {
                ties = count;
                return Value((int)middle);
            }

            if (reached > count)
            {
                low = middle;
            }
            else
            {
                high = middle;
                above = reached;
            }
        }

        ties = count - above;
        return Value((int)low);
    }

    /// <summary>How many values are at least <paramref name="threshold"/>.</summary>
    private static int CountFrom(ReadOnlySpan<float> values, float threshold)
    {
        ref float first = ref MemoryMarshal.GetReference(values);
        Vector256<float> bound = Vector256.Create(threshold);
        Vector256<int> count0 = Vector256<int>.Zero, count1 = count0, count2 = count0, count3 = count0;
        int i = 0;

        // A comparison that holds is -1.
        for (; i <= values.Length - 32; i += 32)
        {
            count0 -= Vector256.GreaterThanOrEqual(Vector256.LoadUnsafe(ref first, (nuint)i), bound).AsInt32();
            count1 -= Vector256.GreaterThanOrEqual(Vector256.LoadUnsafe(ref first, (nuint)i + 8), bound).AsInt32();
            count2 -= Vector256.GreaterThanOrEqual(Vector256.LoadUnsafe(ref first, (nuint)i + 16), bound).AsInt32();
            count3 -= Vector256.GreaterThanOrEqual(Vector256.LoadUnsafe(ref first, (nuint)i + 24), bound).AsInt32();
        }

        int count = Vector256.Sum(count0 + count1 + count2 + count3);
        for (; i < values.Length; i++) count += values[i] >= threshold ? 1 : 0;
        return count;
    }

    /// <summary>Ascending indices of values over the threshold and of the first <paramref name="ties"/> equal to it.</summary>
    private static void Collect(ReadOnlySpan<float> values, float threshold, int ties, Span<int> indices)
    {
        ref float first = ref MemoryMarshal.GetReference(values);
        Vector256<float> bound = Vector256.Create(threshold);
        int i = 0, written = 0;
        for (; i <= values.Length - 8 && written < indices.Length; i += 8)
        {
            uint reached = Vector256.GreaterThanOrEqual(Vector256.LoadUnsafe(ref first, (nuint)i), bound).ExtractMostSignificantBits();
            for (; reached != 0; reached &= reached - 1) Take(values, i + BitOperations.TrailingZeroCount(reached), indices);
        }

        for (; written < indices.Length; i++)
            if (values[i] >= threshold) Take(values, i, indices);

        void Take(ReadOnlySpan<float> values, int index, Span<int> indices)
        {
            if (values[index] == threshold && ties-- <= 0) return;
            indices[written++] = index;
        }
    }

    /// <summary>Ascending indices of all numbers and of the first <paramref name="others"/> NaNs.</summary>
    private static void CollectWithNaN(ReadOnlySpan<float> values, int others, Span<int> indices)
    {
        for (int i = 0, written = 0; written < indices.Length; i++)
            if (!float.IsNaN(values[i]) || others-- > 0) indices[written++] = i;
    }
}
