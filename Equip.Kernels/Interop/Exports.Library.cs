using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;

namespace Equip.Kernels.Interop;

/// <summary>
/// The C functions of equip_kernels.h, which documents them. Each checks its arguments, calls the public entry that a .NET program would
/// call, and turns every exception into a status. Arguments are integers and pointers only.
/// </summary>
internal static unsafe partial class Exports
{
    /// <summary>Raised when a caller of the header as it was would no longer work.</summary>
    public const uint AbiVersionNumber = 1;

    private static readonly byte* _version = Text(typeof(Exports).Assembly.GetName().Version!.ToString(3));
    private static readonly byte* _level = Text(LevelName);
    private static readonly byte*[] _statusNames = Texts(Enum.GetValues<EquipStatus>().Select(StatusText));
    private static readonly byte*[] _policyNames = Texts(EvictionPolicies.Names);

    private static string LevelName =>
#if EQUIP_NATIVE
        Avx512F.IsSupported ? "x86-64-v4" : "x86-64-v3";
#else
        "jit";
#endif

    [UnmanagedCallersOnly(EntryPoint = "equip_abi_version")]
    public static uint AbiVersion() => AbiVersionNumber;

    [UnmanagedCallersOnly(EntryPoint = "equip_version")]
    public static byte* Version() => _version;

    [UnmanagedCallersOnly(EntryPoint = "equip_level")]
    public static byte* Level() => _level;

    [UnmanagedCallersOnly(EntryPoint = "equip_last_error")]
    public static byte* LastErrorText()
    {
        try
        {
            return LastError.Text;
        }
        catch (Exception)
        {
            return _statusNames[(int)EquipStatus.OutOfMemory];
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "equip_status_name")]
    public static byte* StatusName(EquipStatus status) => (uint)status < (uint)_statusNames.Length ? _statusNames[(int)status] : null;

    [UnmanagedCallersOnly(EntryPoint = "equip_isa_supported")]
    public static int IsaSupported(int isa) => (uint)isa <= (uint)Isa.Avx512 && IsaRegistry.IsSupported((Isa)isa) ? 1 : 0;

    [UnmanagedCallersOnly(EntryPoint = "equip_policy_count")]
    public static int PolicyCount() => _policyNames.Length;

    [UnmanagedCallersOnly(EntryPoint = "equip_policy_name")]
    public static byte* PolicyName(int index) => (uint)index < (uint)_policyNames.Length ? _policyNames[index] : null;

    private static string StatusText(EquipStatus status) => status switch
    {
        EquipStatus.Ok => "ok",
        EquipStatus.InvalidArgument => "invalid argument",
        EquipStatus.InvalidHandle => "invalid handle",
        EquipStatus.InvalidState => "invalid state",
        EquipStatus.Busy => "busy",
        EquipStatus.Unsupported => "unsupported",
        EquipStatus.OutOfMemory => "out of memory",
        _ => "internal error",
    };

    private static byte*[] Texts(IEnumerable<string> texts)
    {
        string[] all = [.. texts];
        byte*[] result = new byte*[all.Length];
        for (int i = 0; i < all.Length; i++) result[i] = Text(all[i]);
        return result;
    }

    /// <summary>A string for as long as the process lives.</summary>
    private static byte* Text(string text) => (byte*)Marshal.StringToCoTaskMemUTF8(text);
}
