using System.Runtime.InteropServices;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;

namespace Equip.Kernels.Interop;

internal static unsafe partial class Exports
{
    // Longer than any policy's name.
    private const int LongestName = 64;

    [UnmanagedCallersOnly(EntryPoint = "equip_policy_options_init")]
    public static EquipStatus PolicyOptionsInit(EquipPolicyOptions* options, uint structSize)
    {
        try
        {
            ref EquipPolicyOptions result = ref Initialized(options, structSize);
            PolicyOptions defaults = new();
            result.BudgetTokens = defaults.BudgetTokens;
            result.SinkTokens = defaults.SinkTokens;
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_policy_create")]
    public static EquipStatus PolicyCreate(byte* name, EquipPolicyOptions* options, nint* policy)
    {
        try
        {
            ref nint result = ref Argument.Result(policy, nameof(policy));
            result = 0;
            Argument.Pointer(name, 1, nameof(name));
            int length = 0;
            while (length < LongestName && name[length] != 0) length++;
            if (length == LongestName) Argument.Throw($"name: got {LongestName} characters without an end");
            EquipPolicyOptions given = Argument.Struct(options, nameof(options));
            result = Keep(new NativePolicy(System.Text.Encoding.UTF8.GetString(name, length), new PolicyOptions
            {
                BudgetTokens = given.BudgetTokens,
                SinkTokens = given.SinkTokens,
                RecentTokens = given.RecentTokens,
                WindowTokens = given.WindowTokens,
                PoolKernel = given.PoolKernel,
                PoolMode = (PoolMode)given.PoolMode,
                Allocation = (Allocation)given.Allocation,
                Reading = (ScoreReading)given.Reading,
                Then = (DecodeTail)given.Then,
            }));
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_policy_destroy")]
    public static EquipStatus PolicyDestroy(nint policy)
    {
        try
        {
            Handles.Close<NativePolicy>(policy, nameof(policy));
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_policy_query")]
    public static EquipStatus PolicyQuery(nint policy, EquipPolicyInfo* info)
    {
        try
        {
            ref EquipPolicyInfo result = ref Argument.StructResult(info, nameof(info));
            using Lease<NativePolicy> lease = Handles.Share<NativePolicy>(policy, nameof(policy));
            IEvictionPolicy source = lease.Target.Policy;
            result.CapacityTokens = source.CapacityTokens;
            result.RecentTokens = source.RecentTokens;
            result.PageTokens = source.PageTokens;
            result.PromptQueryTokens = NativePrompt.QueryTokens(source);
            result.WantsUnrotatedQueries = source.WantsUnrotatedQueries ? 1 : 0;
            result.ObservesAttention = source.ObservesAttention ? 1 : 0;
            result.PromptWindow = source.Mask.Window;
            result.PromptSinks = source.Mask.Sinks;
            result.Lossy = source.Info.Lossy ? 1 : 0;
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_policy_choose")]
    public static EquipStatus PolicyChoose(nint policy, nint cache, int layer, int position, int* slots)
    {
        try
        {
            using Lease<NativePolicy> chooser = Handles.Take<NativePolicy>(policy, nameof(policy));
            using Lease<NativeCache> rows = Handles.Take<NativeCache>(cache, nameof(cache));
            Require.InRange(position, 0, int.MaxValue);
            ReadOnlySpan<HeadCache> heads = rows.Target.Layer(layer);
            Span<int> chosen = Argument.Output(slots, heads.Length, nameof(slots));
            chooser.Target.Policy.ChooseSlots(heads, position, chosen);
            for (int head = 0; head < heads.Length; head++)
                if (!NativeCache.IsLive(heads[head], chosen[head]) && chosen[head] != heads[head].NextFreeSlot())
                    throw new InteropException(EquipStatus.InvalidState, $"policy: found no slot for position {position} in KV head {head}; the cache holds other positions than a text read token by token");
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_policy_observe")]
    public static EquipStatus PolicyObserve(nint policy, nint cache, int layer, int position, float* columnWeights, long stride)
    {
        try
        {
            using Lease<NativePolicy> chooser = Handles.Take<NativePolicy>(policy, nameof(policy));
            using Lease<NativeCache> rows = Handles.Take<NativeCache>(cache, nameof(cache));
            Require.InRange(position, 0, int.MaxValue);
            int apart = Stride(rows.Target, layer, stride);
            Argument.Input(columnWeights, Argument.Product(rows.Target.Shape.KvHeads, apart), "column_weights");
            chooser.Target.Policy.Observe(rows.Target.Layer(layer), position, new ColumnWeights(columnWeights, apart));
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_policy_prefill")]
    public static EquipStatus PolicyPrefill(nint context, nint policy, nint cache, int layer, EquipPrompt* prompt)
    {
        try
        {
            using Lease<KernelContext> kernels = Handles.Take<KernelContext>(context, nameof(context));
            using Lease<NativePolicy> chooser = Handles.Take<NativePolicy>(policy, nameof(policy));
            using Lease<NativeCache> rows = Handles.Take<NativeCache>(cache, nameof(cache));
            NativePrompt.Store(kernels.Target, chooser.Target.Policy, rows.Target, layer, Argument.Struct(prompt, nameof(prompt)));
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_policy_keep")]
    public static EquipStatus PolicyKeep(nint context, nint policy, EquipAttentionShape* shape, nint rope, int layer, int layers, EquipPrompt* prompt, int* kept, long* counts)
    {
        try
        {
            using Lease<KernelContext> kernels = Handles.Take<KernelContext>(context, nameof(context));
            using Lease<NativePolicy> chooser = Handles.Take<NativePolicy>(policy, nameof(policy));
            using Lease<NativeRope> table = rope == 0 ? default : Handles.Share<NativeRope>(rope, nameof(rope));
            EquipPrompt given = Argument.Struct(prompt, nameof(prompt));
            EquipAttentionShape attention = Argument.Struct(shape, nameof(shape));
            if (chooser.Target.Policy.Scoring is { Allocation: Allocation.Model or Allocation.ModelRaw })
                throw new InteropException(EquipStatus.Unsupported, "policy: chooses among the rows of all layers; store the layers by equip_policy_prefill and read the positions");
            EquipCacheOptions options = new()
            {
                StructSize = (uint)sizeof(EquipCacheOptions),
                Layers = layers,
                Heads = attention.Heads,
                KvHeads = attention.KvHeads,
                HeadDim = attention.HeadDim,
                CacheType = attention.CacheType,
                Scale = attention.Scale,
            };
            using NativeCache rows = new(options, table.Target?.Table, chooser.Target);
            Span<long> numbers = Argument.Output(counts, attention.KvHeads, nameof(counts));
            Span<int> list = Argument.Output(kept, Argument.Product(attention.KvHeads, Argument.Count(given.Tokens, "prompt->tokens", least: 1)), nameof(kept));
            Argument.Apart<int, long>(list, nameof(kept), numbers, nameof(counts));
            long bytes = (long)list.Length * rows.Shape.RowBytes, listed = (long)list.Length * sizeof(int);
            Argument.Apart(kept, listed, nameof(kept), given.Keys, bytes, "prompt->keys");
            Argument.Apart(kept, listed, nameof(kept), given.Values, bytes, "prompt->values");
            NativePrompt.Store(kernels.Target, chooser.Target.Policy, rows, layer, given);
            for (int head = 0; head < numbers.Length; head++)
            {
                HeadCache cache = rows.Head(layer, head);
                numbers[head] = cache.Count;
                int written = head * given.Tokens;
                for (int slot = 0; slot < cache.Capacity; slot++)
                    if (NativeCache.IsLive(cache, slot)) list[written++] = cache.Positions[slot] - given.FirstPosition;
            }

            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }
}
