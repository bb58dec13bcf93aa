using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Kernels.Memory;
using Equip.Kernels.Numerics;
using Equip.Model.Safetensors;

namespace Equip.Model.Transformer;

/// <summary>Weights of a mapped folder, in place or converted.</summary>
internal sealed unsafe class StoredWeights(TensorStore store, DataType? convertTo) : IWeightSource, IDisposable
{
    private readonly List<NativeBuffer> _converted = [];
    private readonly Lazy<KernelContext> _context = new(() => new KernelContext());

    public WeightMatrix Matrix(string name, int rows, int columns, bool convert)
    {
        TensorView tensor = store.Get(name, rows, columns);
        WeightMatrix stored = new(tensor.Data, tensor.Type, rows, columns);
        if (!convert || convertTo is not { } type || type == tensor.Type) return stored;
        if (type == DataType.Q8 && columns % WeightMatrix.BlockSize != 0)
            throw new ModelFormatException(tensor.File, name, $"has {columns} columns; q8 needs a multiple of {WeightMatrix.BlockSize}");
        return WeightConversion.Convert(_context.Value, stored, type, _converted);
    }

    public float[] Vector(string name, int length)
    {
        TensorView tensor = store.Get(name, length);
        float[] values = new float[length];
        Conversion.Widen(Isa.Scalar, tensor.Data, tensor.Type, values);
        return values;
    }

    public void Dispose()
    {
        foreach (NativeBuffer buffer in _converted) buffer.Dispose();
        if (_context.IsValueCreated) _context.Value.Dispose();
        store.Dispose();
    }
}
