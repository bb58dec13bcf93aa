using Equip.Kernels.Linear;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Linear;

/// <summary>A weight matrix that ends at a guard page, and its values in double.</summary>
internal sealed unsafe class StoredMatrix : IDisposable
{
    private readonly GuardedBuffer _data;
    private readonly GuardedBuffer? _scales;

    /// <summary>Random values of a layer's usual size, with outliers.</summary>
    public StoredMatrix(DataType type, int rows, int columns, int seed = TestData.Seed)
        : this(type, rows, columns, TestData.Random(rows * columns, seed, 0.05f))
    {
    }

    public StoredMatrix(DataType type, int rows, int columns, float[] values)
    {
        _data = new GuardedBuffer(rows * columns * type.Size());
        Values = new double[values.Length];
        if (type == DataType.Q8)
        {
            _scales = new GuardedBuffer(values.Length / 32 * 2);
            Quantize(values);
        }
        else
        {
            for (int i = 0; i < values.Length; i++) Values[i] = Store(type, i, values[i]);
        }

        Weights = new WeightMatrix(_data.Pointer, type, rows, columns, _scales == null ? null : _scales.Pointer);
    }

    public WeightMatrix Weights { get; }

    public double[] Values { get; }

    public void Dispose()
    {
        _data.Dispose();
        _scales?.Dispose();
    }

    public static ushort ToBFloat(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)(float.IsNaN(value) ? (bits >> 16) | 0x40 : (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    private double Store(DataType type, int index, float value)
    {
        switch (type)
        {
            case DataType.F32:
                ((float*)_data.Pointer)[index] = value;
                return value;
            case DataType.F16:
                ((Half*)_data.Pointer)[index] = (Half)value;
                return (double)(Half)value;
            default:
                ushort bits = ToBFloat(value);
                ((ushort*)_data.Pointer)[index] = bits;
                return BitConverter.UInt32BitsToSingle((uint)bits << 16);
        }
    }

    // Any integers and scales will do, the lowest integer and a negative scale among them.
    private void Quantize(float[] values)
    {
        for (int i = 0; i < values.Length; i++)
        {
            Half scale = (Half)(values[i / 32 * 32] / 100);
            ((Half*)_scales!.Pointer)[i / 32] = scale;
            sbyte integer = (sbyte)Math.Clamp(values[i] * 1000, -128, 127);
            ((sbyte*)_data.Pointer)[i] = integer;
            Values[i] = integer * (double)scale;
        }
    }
}
