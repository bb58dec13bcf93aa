using System.Runtime.InteropServices;

namespace Equip.Kernels.Memory;

/// <summary>Asks for large pages where large memory is to be: fewer of them are to be found when it is read and made when it is first written.</summary>
internal static unsafe partial class HugePages
{
    /// <summary>Bytes of a page, and what memory has to be aligned to.</summary>
    public const int Bytes = 2 << 20;

    // MADV_HUGEPAGE.
    private const int Advice = 14;

    private static bool _missing;

    /// <summary>Whether asking makes sense.</summary>
    public static bool MayBeHad => OperatingSystem.IsLinux() && !_missing;

    /// <summary>A wish: a system that does not know it, or has none, goes on with small ones.</summary>
    public static void Advise(void* memory, nuint bytes)
    {
        if (!MayBeHad) return;
        try
        {
            _ = Advise(memory, bytes, Advice);
        }
        catch (Exception missing) when (missing is DllNotFoundException or EntryPointNotFoundException)
        {
            _missing = true;
        }
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Advise(void* memory, nuint bytes, int advice);
}
