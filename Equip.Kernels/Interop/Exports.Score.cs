using System.Runtime.InteropServices;
using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Interop;

internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "equip_score_window")]
    public static EquipStatus ScoreWindow(nint context, EquipAttentionShape* shape, EquipPrefillKeys* keys, float* queries, long window, float* probabilities)
    {
        try
        {
            using Lease<KernelContext> kernels = Handles.Take<KernelContext>(context, nameof(context));
            AttentionShape attention = Shape(shape);
            ReadOnlySpan<float> from = Argument.Input(queries, QueryElements(attention, window), nameof(queries));
            int past = Argument.Count(Argument.Struct(keys, nameof(keys)).Past, "keys->past");
            Span<float> to = Argument.Output(probabilities, Argument.Product(attention.Heads, window, past + window), nameof(probabilities));
            WindowScores.Compute(kernels.Target, attention, from, Keys(keys, attention, window, to, nameof(probabilities), readsValues: false), to, (int)window);
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_score_column_sums")]
    public static EquipStatus ScoreColumnSums(nint context, EquipAttentionShape* shape, EquipPrefillKeys* keys, float* queries, long tokens, float* sums)
    {
        try
        {
            using Lease<KernelContext> kernels = Handles.Take<KernelContext>(context, nameof(context));
            AttentionShape attention = Shape(shape);
            ReadOnlySpan<float> from = Argument.Input(queries, QueryElements(attention, tokens), nameof(queries));
            int past = Argument.Count(Argument.Struct(keys, nameof(keys)).Past, "keys->past");
            Span<float> to = Argument.Output(sums, Argument.Product(attention.KvHeads, past + tokens), nameof(sums));
            PrefillAttention.ColumnSums(kernels.Target, attention, from, Keys(keys, attention, tokens, to, nameof(sums), readsValues: false), to, (int)tokens);
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_score_pool")]
    public static EquipStatus ScorePool(nint context, int mode, float* scores, long count, int kernel, float* output)
    {
        try
        {
            using Lease<KernelContext> kernels = Handles.Take<KernelContext>(context, nameof(context));
            ReadOnlySpan<float> from = Argument.Input(scores, count, nameof(scores));
            Span<float> to = Argument.Output(output, count, nameof(output));
            if (Argument.Enumeration(mode, 1, nameof(mode)) == 0) Pooling.Average(from, kernel, to, kernels.Target.Isa);
            else Pooling.Max(from, kernel, to, kernels.Target.Isa);
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_top_k")]
    public static EquipStatus SelectTopK(float* values, long count, int ordered, int* indices, long k)
    {
        try
        {
            ReadOnlySpan<float> from = Argument.Input(values, count, nameof(values));
            Span<int> to = Argument.Output(indices, k, nameof(indices));
            Argument.Apart<int, float>(to, nameof(indices), from, nameof(values));
            if (ordered != 0) TopK.SelectOrdered(from, to);
            else TopK.Select(from, to);
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }
}
