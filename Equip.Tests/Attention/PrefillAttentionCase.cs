using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Attention;

/// <summary>
/// Random inputs of a prefill call. Every buffer ends at a guard page (or <c>misalign</c> elements before it, filled with NaN),
/// and between the KV heads lie rows of NaN.
/// </summary>
internal sealed unsafe class PrefillAttentionCase : IDisposable
{
    private const int PaddingRows = 3;
    private readonly List<GuardedBuffer> _buffers = [];
    private readonly int _misalign;
    private readonly byte* _k;
    private readonly byte* _v;
    private readonly float* _q;
    private readonly float* _s;
    private readonly float* _o;

    public PrefillAttentionCase(AttentionShape shape, int past, int tokens, bool sinkQueries = false, int misalign = 0, int seed = TestData.Seed)
    {
        Shape = shape;
        Past = past;
        Tokens = tokens;
        _misalign = misalign;
        int rows = past + tokens, elements = tokens * shape.Heads * shape.HeadDim;
        KeyRows = Rounded(TestData.Random(shape.KvHeads * rows * shape.HeadDim, seed, 0.5f), shape.CacheType);
        ValueRows = Rounded(TestData.Random(shape.KvHeads * rows * shape.HeadDim, seed + 1), shape.CacheType);
        _k = Store(KeyRows);
        _v = Store(ValueRows);
        _q = Floats(TestData.Random(elements, seed + 2, 0.5f));
        if (sinkQueries) _s = Floats(TestData.Random(elements, seed + 3, 0.5f));
        _o = Floats(new float[elements]);
    }

    public AttentionShape Shape { get; }

    public int Past { get; }

    public int Tokens { get; }

    /// <summary>What K holds: <c>[kvHeads, past + tokens, headDim]</c>.</summary>
    public float[] KeyRows { get; }

    /// <summary>What V holds.</summary>
    public float[] ValueRows { get; }

    public Span<float> Queries => new(_q, Tokens * Shape.Heads * Shape.HeadDim);

    public Span<float> SinkQueries => new(_s, _s == null ? 0 : Queries.Length);

    public Span<float> Output => new(_o, Queries.Length);

    /// <summary>
    /// How far float32 may be off: rounding of a score is relative to the sum of its terms' magnitudes, and shifts
    /// probabilities by as much.
    /// </summary>
    public double Tolerance
    {
        get
        {
            double q = Math.Max(LargestNorm(Queries), LargestNorm(SinkQueries)), k = LargestNorm(KeyRows), v = 0;
            foreach (float x in ValueRows) v = Math.Max(v, Math.Abs(x));
            return 1e-7 * (1 + (q * k * Shape.Scale)) * v;
        }
    }

    public PrefillKeys Keys(int window = 0, int sinks = 0) => new() { Keys = _k, Values = _v, HeadStride = Past + Tokens + PaddingRows, Past = Past, Window = window, Sinks = sinks };

    public void Attend(KernelContext context, int window = 0, int sinks = 0, Span<float> columnSums = default)
        => PrefillAttention.Attend(context, Shape, Queries, SinkQueries, Keys(window, sinks), Output, Tokens, columnSums);

    public void AssertAttends(KernelContext context, int window = 0, int sinks = 0, string what = "", Span<float> columnSums = default)
    {
        Output.Fill(float.NaN);
        Attend(context, window, sinks, columnSums);
        double[] expected = ReferencePrefillAttention.Attend(Shape, Queries, SinkQueries, KeyRows, ValueRows, Past, Tokens, window, sinks);
        TestData.AssertClose(Output, expected, Tolerance, 1e-5, $"{what} tokens {Tokens} past {Past} window {window} sinks {sinks}");
        foreach (GuardedBuffer buffer in _buffers) buffer.AssertCanary();
    }

    /// <summary>Overwrites one element of K and of V.</summary>
    public void Poison(int kvHead, int row, int element, float value)
    {
        long at = ((((long)kvHead * (Past + Tokens + PaddingRows)) + row) * Shape.HeadDim) + element;
        Write(_k, at, value);
        Write(_v, at, value);
    }

    public void Dispose()
    {
        foreach (GuardedBuffer buffer in _buffers) buffer.Dispose();
    }

    private static double LargestNorm(ReadOnlySpan<float> values)
    {
        double largest = 0;
        for (int i = 0; i < values.Length; i += 16)
        {
            double sum = 0;
            foreach (float x in values.Slice(i, 16)) sum += (double)x * x;
            largest = Math.Max(largest, sum);
        }

        return Math.Sqrt(largest);
    }

    private static float[] Rounded(float[] values, DataType type)
    {
        for (int i = 0; i < values.Length; i++)
            values[i] = type switch { DataType.F16 => (float)(Half)values[i], DataType.BF16 => BitConverter.UInt32BitsToSingle((uint)ToBFloat16(values[i]) << 16), _ => values[i] };
        return values;
    }

    private static ushort ToBFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    private void Write(byte* rows, long index, float value)
    {
        if (Shape.CacheType == DataType.F32) ((float*)rows)[index] = value;
        else if (Shape.CacheType == DataType.F16) ((ushort*)rows)[index] = BitConverter.HalfToUInt16Bits((Half)value);
        else ((ushort*)rows)[index] = (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16);
    }

    private byte* Store(float[] values)
    {
        int rows = Past + Tokens, stride = rows + PaddingRows, d = Shape.HeadDim, elements = (((Shape.KvHeads - 1) * stride) + rows) * d;
        byte* stored = Buffer((elements + _misalign) * Shape.CacheType.Size());
        for (int i = 0; i < elements; i++)
        {
            int head = i / (stride * d), row = i / d % stride;
            Write(stored, i, row < rows ? values[(((head * rows) + row) * d) + (i % d)] : float.NaN);
        }

        return stored;
    }

    private float* Floats(float[] values)
    {
        float* stored = (float*)Buffer((values.Length + _misalign) * sizeof(float));
        values.CopyTo(new Span<float>(stored, values.Length));
        return stored;
    }

    // All ones is NaN in every type.
    private byte* Buffer(int bytes)
    {
        GuardedBuffer buffer = new(bytes);
        _buffers.Add(buffer);
        new Span<byte>(buffer.Pointer, bytes).Fill(0xFF);
        return buffer.Pointer;
    }
}
