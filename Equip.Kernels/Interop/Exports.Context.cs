using System.Runtime.InteropServices;
using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Interop;

internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "equip_context_create")]
    public static EquipStatus ContextCreate(EquipContextOptions* options, nint* context)
    {
        try
        {
            ref nint result = ref Argument.Result(context, nameof(context));
            result = 0;
            EquipContextOptions given = options == null ? new() { Threads = 1 } : Argument.Struct(options, nameof(options));
            Isa isa = (Isa)Argument.Enumeration(given.Isa, (int)Isa.Avx512, "options->isa");
            result = Keep(new KernelContext(isa, given.Threads));
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_context_destroy")]
    public static EquipStatus ContextDestroy(nint context)
    {
        try
        {
            Handles.Close<KernelContext>(context, nameof(context));
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_context_query")]
    public static EquipStatus ContextQuery(nint context, int* isa, int* threads)
    {
        try
        {
            ref int path = ref Argument.Result(isa, nameof(isa)), count = ref Argument.Result(threads, nameof(threads));
            Argument.Apart(isa, sizeof(int), nameof(isa), threads, sizeof(int), nameof(threads));
            using Lease<KernelContext> kernels = Handles.Share<KernelContext>(context, nameof(context));
            path = (int)kernels.Target.Isa;
            count = kernels.Target.Threads;
            return EquipStatus.Ok;
        }
        catch (Exception failure)
        {
            return LastError.Record(failure);
        }
    }

    /// <summary>A handle for a new object, which is freed if there is none to be had.</summary>
    private static nint Keep<T>(T target)
        where T : class, IDisposable
    {
        try
        {
            return Handles.Add(target);
        }
        catch
        {
            target.Dispose();
            throw;
        }
    }
}
