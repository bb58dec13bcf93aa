using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Equip.Kernels.Linear;

/// <summary>
/// AVX2: |w| is unsigned, and the input takes the sign of w. Pairs add up to at most 2 * 128 * 127, which 16 bits hold.
/// </summary>
internal readonly unsafe struct Avx2Bytes : IByteLanes<Vector256<float>, Vector256<byte>, Vector256<int>>
{
    public static Vector256<byte> LoadWeights(byte* weights) => Vector256.Load(weights);

    public static Vector256<byte> LoadInput(sbyte* input) => Vector256.Load((byte*)input);

    public static Vector256<int> LoadOffset(int* offset) => default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Dot(Vector256<byte> weights, Vector256<byte> input, Vector256<int> offset)
    {
        Vector256<short> pairs = Avx2.MultiplyAddAdjacent(Avx2.Abs(weights.AsSByte()), Avx2.Sign(input.AsSByte(), weights.AsSByte()));
        return Avx.ConvertToVector256Single(Avx2.MultiplyAddAdjacent(pairs, Vector256<short>.One));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scale(ushort* scales, float* inputScales, float* factors)
        => (Avx2Lanes.WidenHalves(scales) * Vector256.Load(inputScales)).Store(factors);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Largest(float* block)
    {
        Vector256<int> magnitude = Vector256.Create(0x7FFFFFFF);
        Vector256<int> low = Avx2.Max(Vector256.Load((int*)block) & magnitude, Vector256.Load((int*)block + 8) & magnitude);
        Vector256<int> high = Avx2.Max(Vector256.Load((int*)block + 16) & magnitude, Vector256.Load((int*)block + 24) & magnitude);
        Vector256<int> eight = Avx2.Max(low, high);
        Vector128<int> four = Sse41.Max(eight.GetLower(), eight.GetUpper());
        four = Sse41.Max(four, Sse2.Shuffle(four, 0x4E));
        return Sse41.Max(four, Sse2.Shuffle(four, 0xB1)).ToScalar();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Round(float* block, float factor, sbyte* bytes)
    {
        // NaN times 0 would not become 0.
        Vector256<int> used = Vector256.Create(factor == 0 ? 0 : -1);
        Vector256<float> factors = Vector256.Create(factor);
        Vector256<int> a = Avx.ConvertToVector256Int32(Vector256.Load(block) * factors) & used;
        Vector256<int> b = Avx.ConvertToVector256Int32(Vector256.Load(block + 8) * factors) & used;
        Vector256<int> c = Avx.ConvertToVector256Int32(Vector256.Load(block + 16) * factors) & used;
        Vector256<int> d = Avx.ConvertToVector256Int32(Vector256.Load(block + 24) * factors) & used;
        Vector256<sbyte> packed = Avx2.PackSignedSaturate(Avx2.PackSignedSaturate(a, b), Avx2.PackSignedSaturate(c, d));
        Avx2.PermuteVar8x32(packed.AsInt32(), Vector256.Create(0, 4, 1, 5, 2, 6, 3, 7)).AsSByte().Store(bytes);
        return Vector256.Sum((a + b) + (c + d));
    }
}

/// <summary>
/// AVX-VNNI: one instruction multiplies unsigned by signed bytes, so the weight is moved up by 128 (its top bit flipped) and the
/// sum starts at -128 times the sum of the inputs.
/// </summary>
internal readonly unsafe struct VnniBytes : IByteLanes<Vector256<float>, Vector256<byte>, Vector256<int>>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> LoadWeights(byte* weights) => Vector256.Load(weights) ^ Vector256.Create((byte)0x80);

    public static Vector256<byte> LoadInput(sbyte* input) => Vector256.Load((byte*)input);

    public static Vector256<int> LoadOffset(int* offset) => Vector256.CreateScalar(*offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Dot(Vector256<byte> weights, Vector256<byte> input, Vector256<int> offset)
        => Avx.ConvertToVector256Single(AvxVnni.MultiplyWideningAndAdd(offset, weights, input.AsSByte()));

    public static void Scale(ushort* scales, float* inputScales, float* factors) => Avx2Bytes.Scale(scales, inputScales, factors);

    public static int Largest(float* block) => Avx2Bytes.Largest(block);

    public static int Round(float* block, float factor, sbyte* bytes) => Avx2Bytes.Round(block, factor, bytes);
}
