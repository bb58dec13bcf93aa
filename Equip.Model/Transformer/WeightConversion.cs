using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Kernels.Memory;
using Equip.Kernels.Numerics;

namespace Equip.Model.Transformer;

/// <summary>Converts a matrix to another type in new memory.</summary>
internal static unsafe class WeightConversion
{
    private const int PartElements = 1 << 14;

    /// <summary>Converts; the new memory is added to <paramref name="owners"/>.</summary>
    public static WeightMatrix Convert(KernelContext context, in WeightMatrix source, DataType type, List<NativeBuffer> owners)
    {
        long count = (long)source.Rows * source.Columns;
        if (type == DataType.Q8) return Quantize(context, source, count, owners);
        NativeBuffer data = new(count * type.Size());
        owners.Add(data);
        Job job = new() { Source = source, Destination = (byte*)data.Pointer, Type = type, Isa = context.Isa, Count = count };
        context.Pool.Run(job, (int)Math.Min(WorkerPool.MaxChunks, (count + PartElements - 1) / PartElements));
        return new WeightMatrix(data.Pointer, type, source.Rows, source.Columns);
    }

    private static WeightMatrix Quantize(KernelContext context, in WeightMatrix source, long count, List<NativeBuffer> owners)
    {
        NativeBuffer integers = new(count), scales = new(count / WeightMatrix.BlockSize * sizeof(ushort));
        owners.Add(integers);
        owners.Add(scales);
        WeightMatrix quantised = new(integers.Pointer, DataType.Q8, source.Rows, source.Columns, scales.Pointer);
        Quantization.QuantizeQ8(context, source, quantised);
        return quantised;
    }

    private struct Job : IParallelJob
    {
        public WeightMatrix Source;
        public byte* Destination;
        public DataType Type;
        public Isa Isa;
        public long Count;

        public readonly void Execute(int chunk, int worker)
        {
            float* part = stackalloc float[PartElements];
            // Chunks beyond the pool's limit wrap around in steps of it.
            for (long first = (long)chunk * PartElements; first < Count; first += (long)WorkerPool.MaxChunks * PartElements)
            {
                Span<float> values = new(part, (int)Math.Min(PartElements, Count - first));
                Conversion.Widen(Isa, (byte*)Source.Data + (first * Source.Type.Size()), Source.Type, values);
                Conversion.Narrow(Isa, values, Destination + (first * Type.Size()), Type);
            }
        }
    }
}
