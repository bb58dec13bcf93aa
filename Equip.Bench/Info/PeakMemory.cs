using System.Diagnostics;

namespace Equip.Bench.Info;

/// <summary>Peak resident memory of this process.</summary>
internal static class PeakMemory
{
    private const string ResetFile = "/proc/self/clear_refs";

    /// <summary>Starts the peak anew where the system can (Linux); elsewhere it stays the peak since the start of the process.</summary>
    public static void Reset()
    {
        if (!OperatingSystem.IsLinux()) return;
        try
        {
            File.WriteAllText(ResetFile, "5");
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            // A container may forbid it: the figure then covers the whole process, which is what it says without a reset.
        }
    }

    /// <summary>The peak in bytes.</summary>
    public static long Read()
    {
        using Process self = Process.GetCurrentProcess();
        return self.PeakWorkingSet64;
    }
}
