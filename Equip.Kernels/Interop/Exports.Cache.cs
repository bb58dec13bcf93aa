using System.Runtime.InteropServices;
using Equip.Kernels.Dispatch;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;

namespace Equip.Kernels.Interop;

internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "equip_cache_create")]
    public static EquipStatus CacheCreate(EquipCacheOptions* options, nint rope, nint policy, nint* cache)
    {
        try
        {
            ref nint result = ref Argument.Result(cache, nameof(cache));
            result = 0;
            EquipCacheOptions given = Argument.Struct(options, nameof(options));
            RopeTable? table = rope == 0 ? null : Handles.Read<NativeRope>(rope, nameof(rope)).Table;
            using Lease<NativePolicy> chooser = policy == 0 ? default : Handles.Share<NativePolicy>(policy, nameof(policy));
            result = Keep(new NativeCache(given, table, chooser.Target));
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_cache_destroy")]
    public static EquipStatus CacheDestroy(nint cache)
    {
        try
        {
            Handles.Close<NativeCache>(cache, nameof(cache));
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_cache_write")]
    public static EquipStatus CacheWrite(nint context, nint cache, int layer, int position, int* slots, float* keys, float* values)
        => Write(context, cache, layer, position, slots, keys, values, replaces: false);

    [UnmanagedCallersOnly(EntryPoint = "equip_cache_replace")]
    public static EquipStatus CacheReplace(nint context, nint cache, int layer, int position, int* slots, float* keys, float* values)
        => Write(context, cache, layer, position, slots, keys, values, replaces: true);

    [UnmanagedCallersOnly(EntryPoint = "equip_cache_attend")]
    public static EquipStatus CacheAttend(nint context, nint cache, int layer, int position, float* queries, float* output, float* columnWeights, long stride)
    {
        try
        {
            using Lease<KernelContext> kernels = Handles.Take<KernelContext>(context, nameof(context));
            using Lease<NativeCache> lease = Handles.Take<NativeCache>(cache, nameof(cache));
            NativeCache rows = lease.Target;
            long elements = (long)rows.Shape.Heads * rows.Shape.HeadDim;
            ReadOnlySpan<float> from = Argument.Input(queries, elements, nameof(queries));
            Span<float> to = Argument.Output(output, elements, nameof(output));
            Argument.Apart<float, float>(to, nameof(output), from, nameof(queries));
            int apart = 0;
            if (columnWeights != null)
            {
                Span<float> weights = Argument.Output(columnWeights, Argument.Product(rows.Shape.KvHeads, apart = Stride(rows, layer, stride)), "column_weights");
                Argument.Apart<float, float>(weights, "column_weights", from, nameof(queries));
                Argument.Apart<float, float>(weights, "column_weights", to, nameof(output));
                weights.Clear();
            }

            rows.Attend(kernels.Target, layer, position, queries, columnWeights, apart, to);
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_cache_compact")]
    public static EquipStatus CacheCompact(nint cache, int layer, int kvHead, int* keep, long count)
    {
        try
        {
            using Lease<NativeCache> lease = Handles.Take<NativeCache>(cache, nameof(cache));
            HeadCache head = lease.Target.Head(layer, kvHead);
            ReadOnlySpan<int> kept = Argument.Input(keep, count, nameof(keep));
            if (!lease.Target.KeepsRanks) head.Compact(kept);
            else throw new InteropException(EquipStatus.Unsupported, $"cache: {lease.Target.PositionName} counts evicted tokens one by one; compaction needs original positions");
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_cache_clear")]
    public static EquipStatus CacheClear(nint cache)
    {
        try
        {
            using Lease<NativeCache> lease = Handles.Take<NativeCache>(cache, nameof(cache));
            lease.Target.Replace(lease.Target.NewRows());
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_cache_bytes")]
    public static EquipStatus CacheBytes(nint cache, long* bytes)
    {
        try
        {
            ref long result = ref Argument.Result(bytes, nameof(bytes));
            using Lease<NativeCache> lease = Handles.Share<NativeCache>(cache, nameof(cache));
            result = lease.Target.Rows.Bytes;
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_cache_positions")]
    public static EquipStatus CachePositions(nint cache, int layer, int kvHead, int* positions, long size, long* slots, long* tokens)
    {
        try
        {
            ref long all = ref Argument.Result(slots, nameof(slots)), live = ref Argument.Result(tokens, nameof(tokens));
            using Lease<NativeCache> lease = Handles.Share<NativeCache>(cache, nameof(cache));
            HeadCache head = lease.Target.Head(layer, kvHead);
            Span<int> to = Argument.Output(positions, size, nameof(positions));
            Argument.Apart(positions, to.Length * sizeof(int), nameof(positions), slots, sizeof(long), nameof(slots));
            Argument.Apart(positions, to.Length * sizeof(int), nameof(positions), tokens, sizeof(long), nameof(tokens));
            Argument.Apart(slots, sizeof(long), nameof(slots), tokens, sizeof(long), nameof(tokens));
            if (size != 0 && size < head.Capacity) Argument.Throw($"size: got {size}, expected 0 or at least {head.Capacity}, the slots");
            all = head.Capacity;
            live = head.Count;
            for (int slot = 0; slot < head.Capacity && size != 0; slot++) to[slot] = NativeCache.IsLive(head, slot) ? head.Positions[slot] : -1;
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_cache_read")]
    public static EquipStatus CacheRead(nint cache, int layer, int kvHead, int slot, float* key, float* value)
    {
        try
        {
            using Lease<NativeCache> lease = Handles.Share<NativeCache>(cache, nameof(cache));
            HeadCache head = lease.Target.Head(layer, kvHead);
            int headDim = lease.Target.Shape.HeadDim;
            Span<float> keyRow = Argument.Output(key, headDim, nameof(key)), valueRow = Argument.Output(value, headDim, nameof(value));
            Argument.Apart<float, float>(keyRow, nameof(key), valueRow, nameof(value));
            if (!NativeCache.IsLive(head, slot)) Argument.Throw($"slot: got {slot}, expected a live one");
            Conversion.Widen(Isa.Auto, head.Key(slot), lease.Target.Shape.CacheType, keyRow);
            Conversion.Widen(Isa.Auto, head.Value(slot), lease.Target.Shape.CacheType, valueRow);
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_cache_snapshot_size")]
    public static EquipStatus CacheSnapshotSize(nint cache, long* bytes)
    {
        try
        {
            ref long result = ref Argument.Result(bytes, nameof(bytes));
            using Lease<NativeCache> lease = Handles.Share<NativeCache>(cache, nameof(cache));
            result = CacheSnapshot.Bytes(lease.Target);
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_cache_snapshot")]
    public static EquipStatus CacheSave(nint cache, void* buffer, long size)
    {
        try
        {
            using Lease<NativeCache> lease = Handles.Share<NativeCache>(cache, nameof(cache));
            long needed = CacheSnapshot.Bytes(lease.Target);
            if (size < needed) Argument.Throw($"size: got {size}, expected at least {needed}");
            Argument.Memory(buffer, size, 1, nameof(buffer));
            CacheSnapshot.Write(lease.Target, (byte*)buffer);
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_cache_restore")]
    public static EquipStatus CacheRestore(nint cache, void* buffer, long size)
    {
        try
        {
            using Lease<NativeCache> lease = Handles.Take<NativeCache>(cache, nameof(cache));
            if (size < 0) Argument.Throw($"size: got {size}, expected 0 or more");
            Argument.Pointer(buffer, 1, nameof(buffer));
            Argument.Memory(buffer, size, 1, nameof(buffer));
            CacheSnapshot.Read(lease.Target, (byte*)buffer, size);
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    private static EquipStatus Write(nint context, nint cache, int layer, int position, int* slots, float* keys, float* values, bool replaces)
    {
        try
        {
            using Lease<KernelContext> kernels = Handles.Take<KernelContext>(context, nameof(context));
            using Lease<NativeCache> lease = Handles.Take<NativeCache>(cache, nameof(cache));
            NativeCache rows = lease.Target;
            if (replaces) Argument.Pointer(slots, sizeof(int), nameof(slots));
            ReadOnlySpan<int> chosen = slots == null ? default : Argument.Input(slots, rows.Shape.KvHeads, nameof(slots));
            long elements = (long)rows.Shape.KvHeads * rows.Shape.HeadDim;
            rows.Write(kernels.Target, layer, position, chosen, Argument.Input(keys, elements, nameof(keys)), Argument.Input(values, elements, nameof(values)), replaces);
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    /// <summary>Elements from one KV head's weights to the next: room for the slots of any head of the layer.</summary>
    private static int Stride(NativeCache cache, int layer, long stride)
    {
        int least = 0;
        foreach (HeadCache head in cache.Layer(layer)) least = Math.Max(least, head.Capacity);
        return Argument.Count(stride, nameof(stride), least);
    }
}
