using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Interop;

internal static unsafe partial class Exports
{
    // 3 KiB of stack; more runs are copied to rented memory.
    private const int RunsOnStack = 64;

    [SkipLocalsInit]
    [UnmanagedCallersOnly(EntryPoint = "equip_attention_decode")]
    public static EquipStatus AttentionDecode(nint context, EquipAttentionShape* shape, EquipAttentionRun* runs, long runCount, int* firstRun, long streams, float* output)
    {
        try
        {
            using Lease<KernelContext> kernels = Handles.Take<KernelContext>(context, nameof(context));
            AttentionShape attention = Shape(shape);
            Argument.Count(streams, nameof(streams));
            ReadOnlySpan<EquipAttentionRun> given = Argument.Input(runs, runCount, nameof(runs));
            ReadOnlySpan<int> first = Argument.Input(firstRun, streams + 1, "first_run");
            if (streams == 0 && given.IsEmpty && first[0] == 0) return EquipStatus.Ok;
            Span<float> to = Argument.Output(output, Argument.Product(streams, attention.Group, attention.HeadDim), nameof(output));
            RunMemory memory = new(given, attention);
            memory.RequireApart(to, first);
            if (given.Length <= RunsOnStack)
            {
                Span<AttentionRun> copies = stackalloc AttentionRun[RunsOnStack];
                memory.CopyTo(copies);
                DecodeAttention.Attend(kernels.Target, attention, copies[..given.Length], first, to);
                return EquipStatus.Ok;
            }

            AttentionRun[] rented = ArrayPool<AttentionRun>.Shared.Rent(given.Length);
            try
            {
                memory.CopyTo(rented);
                DecodeAttention.Attend(kernels.Target, attention, rented.AsSpan(0, given.Length), first, to);
            }
            finally
            {
                ArrayPool<AttentionRun>.Shared.Return(rented);
            }

            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_attention_prefill")]
    public static EquipStatus AttentionPrefill(nint context, EquipAttentionShape* shape, EquipPrefillKeys* keys, float* queries, float* sinkQueries, long tokens, float* output)
    {
        try
        {
            using Lease<KernelContext> kernels = Handles.Take<KernelContext>(context, nameof(context));
            AttentionShape attention = Shape(shape);
            long elements = QueryElements(attention, tokens);
            Span<float> to = Argument.Output(output, elements, nameof(output));
            PrefillKeys rows = Keys(keys, attention, tokens, to, nameof(output), readsValues: true);
            ReadOnlySpan<float> sinks = sinkQueries == null ? default : Argument.Input(sinkQueries, elements, "sink_queries");
            PrefillAttention.Attend(kernels.Target, attention, Argument.Input(queries, elements, nameof(queries)), sinks, rows, to, (int)tokens);
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    private static AttentionShape Shape(EquipAttentionShape* shape)
    {
        EquipAttentionShape given = Argument.Struct(shape, nameof(shape));
        if (!float.IsFinite(given.Scale)) ThrowScale(given.Scale);
        return new AttentionShape(given.Heads, given.KvHeads, given.HeadDim, StoredType(given.CacheType, "shape->cache_type"), given.Scale);
    }

    private static void ThrowScale(float scale) => Argument.Throw($"shape->scale: got {scale}, expected a finite number");

    /// <summary>Elements of <c>[tokens, heads, headDim]</c>.</summary>
    private static long QueryElements(in AttentionShape shape, long tokens)
        => Argument.Product(Argument.Count(tokens, nameof(tokens), least: 1), shape.Heads, shape.HeadDim, name: nameof(tokens));

    /// <summary>K and V rows of a prompt, apart from what the call writes.</summary>
    private static PrefillKeys Keys(EquipPrefillKeys* keys, in AttentionShape shape, long tokens, ReadOnlySpan<float> written, string name, bool readsValues)
    {
        EquipPrefillKeys given = Argument.Struct(keys, nameof(keys));
        int past = Argument.Count(given.Past, "keys->past");
        Argument.Count(past + tokens, "keys->past + tokens");
        if (given.HeadStride < past + tokens) Argument.Throw($"keys->head_stride: got {given.HeadStride}, expected at least {past + tokens}");
        long rows = Argument.Product(shape.KvHeads, given.HeadStride, shape.RowBytes, name: "keys->head_stride") - ((given.HeadStride - past - tokens) * shape.RowBytes);
        int element = shape.RowBytes / shape.HeadDim;
        fixed (float* output = written)
        {
            Argument.Memory(given.Keys, rows, element, "keys->keys");
            Argument.Apart(output, (long)written.Length * sizeof(float), name, given.Keys, rows, "keys->keys");
            if (readsValues)
            {
                Argument.Memory(given.Values, rows, element, "keys->values");
                Argument.Apart(output, (long)written.Length * sizeof(float), name, given.Values, rows, "keys->values");
            }
        }

        return new PrefillKeys { Keys = given.Keys, Values = given.Values, HeadStride = given.HeadStride, Past = past, Window = given.Window, Sinks = given.Sinks };
    }
}
