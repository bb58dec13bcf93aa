using System.Runtime.InteropServices;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Interop;

internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "equip_gemv")]
    public static EquipStatus Gemv(nint context, EquipMatrix* weights, float* input, float* bias, int accumulate, float* output)
        => Multiply(context, weights, input, 1, bias, accumulate, output);

    [UnmanagedCallersOnly(EntryPoint = "equip_gemm")]
    public static EquipStatus Gemm(nint context, EquipMatrix* weights, float* input, long batch, float* bias, int accumulate, float* output)
        => Multiply(context, weights, input, batch, bias, accumulate, output);

    [UnmanagedCallersOnly(EntryPoint = "equip_gemv_rows")]
    public static EquipStatus GemvRows(nint context, EquipMatrix* weights, int* rows, long count, float* input, float* output)
    {
        try
        {
            using Lease<KernelContext> kernels = Handles.Take<KernelContext>(context, nameof(context));
            WeightMatrix matrix = Matrix(weights, nameof(weights));
            ReadOnlySpan<int> numbers = Argument.Input(rows, count, nameof(rows));
            Span<float> to = Argument.Output(output, count, nameof(output));
            RequireApart(to, matrix);
            Argument.Apart<float, int>(to, nameof(output), numbers, nameof(rows));
            GatheredGemv.Rows(kernels.Target, matrix, numbers, Argument.Input(input, matrix.Columns, nameof(input)), to);
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_quantize_q8")]
    public static EquipStatus QuantizeQ8(nint context, EquipMatrix* source, EquipMatrix* destination)
    {
        try
        {
            using Lease<KernelContext> kernels = Handles.Take<KernelContext>(context, nameof(context));
            WeightMatrix from = Matrix(source, nameof(source)), to = Matrix(destination, nameof(destination));
            Argument.Apart(to.Data, DataBytes(to), "destination->data", from.Data, DataBytes(from), "source->data");
            Argument.Apart(to.Scales, to.Bytes - DataBytes(to), "destination->scales", from.Data, DataBytes(from), "source->data");
            Argument.Apart(to.Scales, to.Bytes - DataBytes(to), "destination->scales", to.Data, DataBytes(to), "destination->data");
            Quantization.QuantizeQ8(kernels.Target, from, to);
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    private static EquipStatus Multiply(nint context, EquipMatrix* weights, float* input, long batch, float* bias, int accumulate, float* output)
    {
        try
        {
            using Lease<KernelContext> kernels = Handles.Take<KernelContext>(context, nameof(context));
            WeightMatrix matrix = Matrix(weights, nameof(weights));
            int count = Argument.Count(batch, nameof(batch), least: 1);
            Span<float> to = Argument.Output(output, Argument.Product(batch, matrix.Rows), nameof(output));
            RequireApart(to, matrix);
            ReadOnlySpan<float> from = Argument.Input(input, Argument.Product(batch, matrix.Columns), nameof(input));
            LinearLayer.Multiply(kernels.Target, matrix, from, to, count, bias == null ? default : Argument.Input(bias, matrix.Rows, nameof(bias)), accumulate != 0);
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    internal static WeightMatrix Matrix(EquipMatrix* matrix, string name)
    {
        EquipMatrix given = Argument.Struct(matrix, name);
        DataType type = (DataType)Argument.Enumeration(given.Type, (int)DataType.Q8, name, "->type");
        WeightMatrix result = new(given.Data, type, given.Rows, given.Columns, given.Scales);
        Argument.Memory(given.Data, DataBytes(result), type.Size(), name, "->data");
        if (type == DataType.Q8) Argument.Memory(given.Scales, result.Bytes - DataBytes(result), sizeof(ushort), name, "->scales");
        return result;
    }

    private static long DataBytes(in WeightMatrix matrix) => (long)matrix.Rows * matrix.Columns * matrix.Type.Size();

    private static void RequireApart(ReadOnlySpan<float> output, in WeightMatrix matrix)
    {
        fixed (float* to = output)
        {
            Argument.Apart(to, (long)output.Length * sizeof(float), nameof(output), matrix.Data, DataBytes(matrix), "weights->data");
            if (matrix.Scales != null) Argument.Apart(to, (long)output.Length * sizeof(float), nameof(output), matrix.Scales, matrix.Bytes - DataBytes(matrix), "weights->scales");
        }
    }
}
