using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Kernels.Memory;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels;

/// <summary>
/// An array that a kernel reads or writes, in several copies so that each call can touch memory that no cache holds. Random,
/// with outliers (x20, one in fifty): processors may be faster on zeros, and zeros hide faults.
/// </summary>
internal sealed unsafe class Operand : IDisposable
{
    // Random numbers are made once and repeated. Not a multiple of any row, so rows differ.
    private const int Period = 1_000_003;
    private const float ByteScale = 30;

    private readonly NativeBuffer _data;
    private readonly NativeBuffer? _scales;
    private readonly long _stride;

    /// <summary>Makes and fills it.</summary>
    /// <param name="count">Elements of one copy; whole blocks if q8.</param>
    /// <param name="type">How they are stored.</param>
    /// <param name="copies">Copies; no two are equal.</param>
    /// <param name="scale">The size of a usual value.</param>
    public Operand(long count, DataType type, int copies = 1, float scale = 1)
    {
        Count = count;
        Type = type;
        _stride = (count * type.Size() + NativeBuffer.Alignment - 1) / NativeBuffer.Alignment * NativeBuffer.Alignment;
        _data = new NativeBuffer(_stride * copies);
        float[] values = Random((int)Math.Min(Period, _stride * copies / type.Size()), scale);
        using NativeBuffer stored = new(values.Length * type.Size());
        if (type != DataType.Q8) Conversion.Narrow(Isa.Auto, values, stored.Pointer, type);
        else for (int i = 0; i < values.Length; i++) ((sbyte*)stored.Pointer)[i] = (sbyte)Math.Clamp(values[i] / scale * ByteScale, -128, 127);
        Repeat(stored, _data);
        if (type != DataType.Q8) return;
        _scales = new NativeBuffer(count / WeightMatrix.BlockSize * copies * sizeof(ushort));
        for (int i = 0; i < values.Length; i++) values[i] = (MathF.Abs(values[i]) + (0.1f * scale)) / ByteScale;
        using NativeBuffer halves = new(values.Length * sizeof(ushort));
        Conversion.Narrow(Isa.Auto, values, halves.Pointer, DataType.F16);
        Repeat(halves, _scales);
    }

    /// <summary>Elements of one copy.</summary>
    public long Count { get; }

    /// <summary>How they are stored.</summary>
    public DataType Type { get; }

    /// <summary>The first element of a copy.</summary>
    public void* At(int copy) => (byte*)_data.Pointer + (copy * _stride);

    /// <summary>The binary16 scales of a copy, or null.</summary>
    public void* ScalesAt(int copy) => _scales is null ? null : (byte*)_scales.Pointer + (copy * (Count / WeightMatrix.BlockSize) * sizeof(ushort));

    /// <summary>A copy of float32.</summary>
    public Span<float> Floats(int copy) => new(At(copy), checked((int)Count));

    /// <summary>One element's value.</summary>
    public double Value(int copy, long index) => Type switch
    {
        DataType.F32 => ((float*)At(copy))[index],
        DataType.F16 => (double)((Half*)At(copy))[index],
        DataType.BF16 => BitConverter.Int32BitsToSingle(((ushort*)At(copy))[index] << 16),
        _ => ((sbyte*)At(copy))[index] * (double)((Half*)ScalesAt(copy))[index / WeightMatrix.BlockSize],
    };

    public void Dispose()
    {
        _data.Dispose();
        _scales?.Dispose();
    }

    private static float[] Random(int count, float scale)
    {
        Random random = new(42);
        float[] values = new float[count];
        for (int i = 0; i < count; i++)
        {
            double normal = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
            values[i] = (float)(normal * scale * (random.Next(50) == 0 ? 20 : 1));
        }

        return values;
    }

    private static void Repeat(NativeBuffer source, NativeBuffer destination)
    {
        for (long offset = 0; offset < destination.Length; offset += source.Length)
        {
            long bytes = Math.Min(source.Length, destination.Length - offset);
            Buffer.MemoryCopy(source.Pointer, (byte*)destination.Pointer + offset, bytes, bytes);
        }
    }
}
