using System.Runtime.Intrinsics;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Model.Transformer;

/// <summary>
/// Random weights for runs that measure speed: roughly normal, one element in 1024 eight times as large, as trained weights
/// have their outliers. Element i of a seed is always the same, whatever the thread count, path or length; the 16-bit types
/// hold the f32 value, rounded.
/// </summary>
internal static unsafe class SyntheticWeights
{
    // Every block has keys of its own, so a 32-bit counter is enough inside it and blocks can be made in any order.
    private const int BlockElements = 1 << 16;
    private const int TileElements = 1 << 12;

    // The sum of four uniform 16-bit integers: mean 4 * 65535 / 2, standard deviation sqrt(4 * (65536^2 - 1) / 12).
    private const float SumMean = 131070;
    private const float SumDeviation = 37837.227f;
    private const float Outlier = 8;

    /// <summary>Fills <c>[count]</c> elements.</summary>
    /// <param name="context">Threads, and the path of the rounding.</param>
    /// <param name="destination">First element; aligned to the element size.</param>
    /// <param name="type">f32, f16 or bf16.</param>
    /// <param name="count">Elements, up to 2^36.</param>
    /// <param name="standardDeviation">That of the elements which are no outliers.</param>
    /// <param name="seed">Names the sequence; give each tensor another.</param>
    /// <exception cref="ArgumentException">A value is out of its range.</exception>
    public static void Fill(KernelContext context, void* destination, DataType type, long count, float standardDeviation, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(context);
        if (count is < 0 or > 1L << 36) throw new ArgumentOutOfRangeException(nameof(count), count, $"count: got {count}, expected 0 to {1L << 36}");
        if (count == 0) return;
        ArgumentNullException.ThrowIfNull(destination);
        if (type is not (DataType.F32 or DataType.F16 or DataType.BF16)) throw new ArgumentException($"type: got {type}, expected f32, f16 or bf16", nameof(type));
        if (!float.IsFinite(standardDeviation)) throw new ArgumentException($"standardDeviation: got {standardDeviation}, expected a finite number", nameof(standardDeviation));
        Job job = new() { Isa = context.Isa, Destination = (byte*)destination, Type = type, Count = count, Scale = standardDeviation / SumDeviation, Seed = seed };
        context.Pool.Run(in job, (int)((count + BlockElements - 1) / BlockElements));
    }

    private static Vector256<uint> Mix(Vector256<uint> x)
    {
        // An invertible 32-bit mixer: xor-shifts by half the word and by 15, odd multipliers (constants of C. Wellons' lowbias32, public domain).
        x ^= x >>> 16;
        x *= 0x7FEB352D;
        x ^= x >>> 15;
        x *= 0x846CA68B;
        return x ^ (x >>> 16);
    }

    private static ulong Mix(ulong x)
    {
        // The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return x ^ (x >> 31);
    }

    private struct Job : IParallelJob
    {
        public Isa Isa;
        public byte* Destination;
        public DataType Type;
        public long Count;
        public float Scale;
        public ulong Seed;

        public readonly void Execute(int chunk, int worker)
        {
            long first = (long)chunk * BlockElements;
            int count = (int)Math.Min(BlockElements, Count - first);
            ulong key = Mix(Mix(Seed + 0x9E3779B97F4A7C15) + (ulong)chunk);
            Vector256<uint> key0 = Vector256.Create((uint)key), key1 = Vector256.Create((uint)(key >> 32));
            float* tile = stackalloc float[TileElements];
            for (int start = 0; start < count; start += TileElements)
            {
                int length = Math.Min(TileElements, count - start);
                for (int i = 0; i < length; i += Vector256<float>.Count) Elements(start + i, key0, key1).Store(tile + i);
                Conversion.Narrow(Isa, new ReadOnlySpan<float>(tile, length), Destination + ((first + start) * Type.Size()), Type);
            }
        }

        /// <summary>Elements [i, i + 8) of a block.</summary>
        private readonly Vector256<float> Elements(int i, Vector256<uint> key0, Vector256<uint> key1)
        {
            Vector256<uint> a = Mix(Vector256.Create((uint)i) + Vector256<uint>.Indices + key0);
            Vector256<uint> b = Mix(a ^ key1);
            Vector256<uint> half = Vector256.Create(0xFFFFu);
            Vector256<uint> sum = (a & half) + (a >>> 16) + (b & half) + (b >>> 16);
            Vector256<float> value = (Vector256.ConvertToSingle(sum.AsInt32()) - Vector256.Create(SumMean)) * Scale;
            Vector256<float> outlier = Vector256.Equals(b & Vector256.Create(1023u), Vector256<uint>.Zero).AsSingle();
            return Vector256.ConditionalSelect(outlier, value * Outlier, value);
        }
    }
}
