using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Kernels.Memory;
using Equip.Kernels.Numerics;

namespace Equip.Model.Transformer;

/// <summary>Random weights: every matrix its own native buffer, filled in parallel.</summary>
internal sealed unsafe class GeneratedWeights(KernelContext context, DataType type, ulong seed) : IWeightSource, IDisposable
{
    private readonly Dictionary<string, WeightMatrix> _made = [];
    private readonly List<NativeBuffer> _buffers = [];

    public WeightMatrix Matrix(string name, int rows, int columns, bool convert)
    {
        DataType stored = type == DataType.Q8 ? DataType.BF16 : type;
        if (!_made.TryGetValue(name, out WeightMatrix matrix))
        {
            NativeBuffer buffer = new((long)rows * columns * stored.Size());
            _buffers.Add(buffer);
            // 1 / sqrt(inputs) keeps the residual stream's scale from layer to layer.
            SyntheticWeights.Fill(context, buffer.Pointer, stored, (long)rows * columns, 1 / MathF.Sqrt(columns), seed + (ulong)_made.Count);
            _made[name] = matrix = new WeightMatrix(buffer.Pointer, stored, rows, columns);
        }

        if (!convert || type != DataType.Q8) return matrix;
        WeightMatrix quantised = WeightConversion.Convert(context, matrix, DataType.Q8, _buffers);
        if (name != "model.embed_tokens.weight") Drop(name, matrix);
        return quantised;
    }

    public float[] Vector(string name, int length)
    {
        float[] values = new float[length];
        fixed (float* p = values)
        {
            if (name.EndsWith(".bias", StringComparison.Ordinal)) SyntheticWeights.Fill(context, p, DataType.F32, length, 0.02f, seed ^ (ulong)name.Length);
            else values.AsSpan().Fill(1);
        }

        return values;
    }

    public void Dispose()
    {
        foreach (NativeBuffer buffer in _buffers) buffer.Dispose();
    }

    /// <summary>Frees a matrix whose quantised form has replaced it.</summary>
    private void Drop(string name, WeightMatrix matrix)
    {
        int index = _buffers.FindIndex(buffer => buffer.Pointer == matrix.Data);
        _buffers[index].Dispose();
        _buffers.RemoveAt(index);
        _made[name] = default;
    }
}
