using System.Runtime.InteropServices;
using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Interop;

/// <summary>Slots in storage that the caller owns.</summary>
internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "equip_kv_scatter")]
    public static EquipStatus KvScatter(nint context, float* rows, int* slots, int kvHeads, int headDim, void* storage, int type, long capacity)
    {
        try
        {
            using Lease<KernelContext> kernels = Handles.Take<KernelContext>(context, nameof(context));
            DataType stored = StoredType(type, nameof(type));
            long rowBytes = RowBytes(headDim, stored), bytes = Storage(storage, kvHeads, capacity, rowBytes, stored);
            ReadOnlySpan<float> from = Argument.Input(rows, Argument.Product(kvHeads, headDim), nameof(rows));
            ReadOnlySpan<int> numbers = Argument.Input(slots, kvHeads, nameof(slots));
            fixed (float* read = from)
            fixed (int* listed = numbers)
            {
                Argument.Apart(storage, bytes, nameof(storage), read, (long)from.Length * sizeof(float), nameof(rows));
                Argument.Apart(storage, bytes, nameof(storage), listed, (long)numbers.Length * sizeof(int), nameof(slots));
            }

            for (int head = 0; head < kvHeads; head++)
                if (numbers[head] < 0 || numbers[head] >= capacity) ThrowSlot(head, numbers[head], capacity);
            for (int head = 0; head < kvHeads; head++)
                Conversion.Narrow(kernels.Target.Isa, from.Slice(head * headDim, headDim), (byte*)storage + (((head * capacity) + numbers[head]) * rowBytes), stored);
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_kv_compact")]
    public static EquipStatus KvCompact(void* storage, int type, int headDim, long capacity, int* keep, long count)
    {
        try
        {
            DataType stored = StoredType(type, nameof(type));
            long rowBytes = RowBytes(headDim, stored), bytes = Storage(storage, 1, capacity, rowBytes, stored);
            ReadOnlySpan<int> kept = Argument.Input(keep, count, nameof(keep));
            fixed (int* list = kept) Argument.Apart(storage, bytes, nameof(storage), list, (long)kept.Length * sizeof(int), nameof(keep));
            for (int i = 0; i < kept.Length; i++)
            {
                long least = i == 0 ? 0 : kept[i - 1] + 1L;
                if (kept[i] < least || kept[i] >= capacity) ThrowKept(i, kept[i], least, capacity);
            }

            // Rows that stay neighbours move together.
            for (int first = 0, end; first < kept.Length; first = end)
            {
                for (end = first + 1; end < kept.Length && kept[end] == kept[end - 1] + 1; end++)
                {
                }

                long moved = (end - first) * rowBytes;
                if (kept[first] != first) Buffer.MemoryCopy((byte*)storage + (kept[first] * rowBytes), (byte*)storage + (first * rowBytes), moved, moved);
            }

            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    private static void ThrowSlot(int head, int slot, long capacity) => Argument.ThrowRange($"slots[{head}]", slot, 0, capacity - 1);

    private static void ThrowKept(int index, int slot, long least, long capacity) => Argument.Throw($"keep[{index}]: got {slot}, expected {least} to {capacity - 1}, ascending");

    private static long RowBytes(int headDim, DataType type)
    {
        if (headDim < 1 || headDim > AttentionShape.MaxHeadDim) Argument.ThrowRange("head_dim", headDim, 1, AttentionShape.MaxHeadDim);
        return headDim * type.Size();
    }

    /// <summary>Bytes of <c>[kvHeads, capacity, headDim]</c>.</summary>
    private static long Storage(void* storage, int kvHeads, long capacity, long rowBytes, DataType type)
    {
        Argument.Count(kvHeads, "kv_heads", least: 1);
        Argument.Count(capacity, nameof(capacity), least: 1);
        long bytes = Argument.Product(kvHeads, capacity, rowBytes, name: nameof(capacity));
        Argument.Memory(storage, bytes, type.Size(), nameof(storage));
        return bytes;
    }
}
