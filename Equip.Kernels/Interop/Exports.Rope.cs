using System.Runtime.InteropServices;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;

namespace Equip.Kernels.Interop;

internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "equip_rope_options_init")]
    public static EquipStatus RopeOptionsInit(EquipRopeOptions* options, uint structSize)
    {
        try
        {
            ref EquipRopeOptions result = ref Initialized(options, structSize);
            RopeOptions defaults = new() { HeadDim = 2 };
            result.Theta = defaults.Theta;
            result.Factor = defaults.Factor;
            result.LowFrequencyFactor = defaults.LowFrequencyFactor;
            result.HighFrequencyFactor = defaults.HighFrequencyFactor;
            result.BetaFast = defaults.BetaFast;
            result.BetaSlow = defaults.BetaSlow;
            result.Truncate = defaults.Truncate ? 1 : 0;
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_rope_create")]
    public static EquipStatus RopeCreate(EquipRopeOptions* options, nint* rope)
    {
        try
        {
            ref nint result = ref Argument.Result(rope, nameof(rope));
            result = 0;
            EquipRopeOptions given = Argument.Struct(options, nameof(options));
            RopeTable table = new(new RopeOptions
            {
                HeadDim = given.HeadDim,
                RotaryDim = given.RotaryDim,
                Type = (RopeType)Argument.Enumeration(given.Type, (int)RopeType.Yarn, "options->type"),
                Layout = (RopeLayout)Argument.Enumeration(given.Layout, (int)RopeLayout.Interleaved, "options->layout"),
                OriginalMaxPositions = given.OriginalMaxPositions,
                Theta = given.Theta,
                Factor = given.Factor,
                LowFrequencyFactor = given.LowFrequencyFactor,
                HighFrequencyFactor = given.HighFrequencyFactor,
                AttentionFactor = given.AttentionFactor,
                MScale = given.Mscale,
                MScaleAllDim = given.MscaleAllDim,
                BetaFast = given.BetaFast,
                BetaSlow = given.BetaSlow,
                Truncate = given.Truncate != 0,
            });
            result = Handles.Add(new NativeRope(table));
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_rope_destroy")]
    public static EquipStatus RopeDestroy(nint rope)
    {
        try
        {
            Handles.Close<NativeRope>(rope, nameof(rope));
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_rope_pairs")]
    public static EquipStatus RopePairs(nint rope, int* pairs)
    {
        try
        {
            ref int result = ref Argument.Result(pairs, nameof(pairs));
            result = Handles.Read<NativeRope>(rope, nameof(rope)).Table.Pairs;
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_rope_fill")]
    public static EquipStatus RopeFill(nint rope, int* rotations, long count, float* cos, float* sin)
    {
        try
        {
            RopeTable table = Handles.Read<NativeRope>(rope, nameof(rope)).Table;
            ReadOnlySpan<int> from = Argument.Input(rotations, count, nameof(rotations));
            long elements = Argument.Product(count, table.Pairs);
            Span<float> cosines = Argument.Output(cos, elements, nameof(cos)), sines = Argument.Output(sin, elements, nameof(sin));
            Argument.Apart<float, int>(cosines, nameof(cos), from, nameof(rotations));
            Argument.Apart<float, int>(sines, nameof(sin), from, nameof(rotations));
            table.Fill(from, cosines, sines);
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_rope_fill_delta")]
    public static EquipStatus RopeFillDelta(nint rope, int delta, float* cos, float* sin)
    {
        try
        {
            RopeTable table = Handles.Read<NativeRope>(rope, nameof(rope)).Table;
            table.FillDelta(delta, Argument.Output(cos, table.Pairs, nameof(cos)), Argument.Output(sin, table.Pairs, nameof(sin)));
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_rope_rotate")]
    public static EquipStatus RopeRotate(nint context, nint rope, float* input, float* output, float* cos, float* sin, long tokens, long heads)
    {
        try
        {
            using Lease<KernelContext> kernels = Handles.Take<KernelContext>(context, nameof(context));
            RopeTable table = Handles.Read<NativeRope>(rope, nameof(rope)).Table;
            int units = Argument.Count(tokens, nameof(tokens)), rows = Argument.Count(heads, nameof(heads));
            long elements = Argument.Product(tokens, heads, table.Options.HeadDim), angles = Argument.Product(tokens, table.Pairs);
            RopeRotation.Rotate(kernels.Target, table, Argument.Input(input, elements, nameof(input)), Argument.Output(output, elements, nameof(output)), Argument.Input(cos, angles, nameof(cos)), Argument.Input(sin, angles, nameof(sin)), units, rows);
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_rope_rotate_stored")]
    public static EquipStatus RopeRotateStored(nint context, nint rope, void* rows, int type, long count, float* cos, float* sin)
    {
        try
        {
            using Lease<KernelContext> kernels = Handles.Take<KernelContext>(context, nameof(context));
            RopeTable table = Handles.Read<NativeRope>(rope, nameof(rope)).Table;
            DataType stored = StoredType(type, nameof(type));
            Argument.Memory(rows, Argument.Product(Argument.Count(count, nameof(count)), table.Options.HeadDim, stored.Size()), stored.Size(), nameof(rows));
            RopeRotation.RotateStored(kernels.Target, table, rows, stored, (int)count, Argument.Input(cos, table.Pairs, nameof(cos)), Argument.Input(sin, table.Pairs, nameof(sin)));
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    /// <summary>How K and V rows may be stored.</summary>
    private static DataType StoredType(int type, string name) => (DataType)Argument.Enumeration(type, (int)DataType.BF16, name);

    /// <summary>A caller's struct, zeroed and with its size set.</summary>
    private static ref T Initialized<T>(T* options, uint structSize)
        where T : unmanaged
    {
        Argument.Pointer(options, sizeof(long), nameof(options));
        if (structSize < sizeof(T) || structSize > Argument.LongestStruct) Argument.Throw($"struct_size: got {structSize}, expected {sizeof(T)}");
        NativeMemory.Clear(options, structSize);
        *(uint*)options = structSize;
        return ref *options;
    }

    /// <summary>A table, which frees nothing.</summary>
    private sealed class NativeRope(RopeTable table) : IDisposable
    {
        public RopeTable Table { get; } = table;

        public void Dispose()
        {
        }
    }
}
