using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text;

namespace Equip.Bench.Info;

/// <summary>What results say of the machine and the build.</summary>
internal static class Machine
{
    /// <summary>The processor's own name, or its architecture where it tells none.</summary>
    public static string Processor { get; } = ReadProcessor();

    /// <summary>The tool's version, with the commit where the build knows it.</summary>
    public static string Version { get; } =
        typeof(Machine).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

    /// <summary>Bytes of memory that this process may use.</summary>
    public static long Memory => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    private static string ReadProcessor()
    {
        const int firstLeaf = unchecked((int)0x80000002), leaves = 3;
        if (!X86Base.IsSupported || (uint)X86Base.CpuId(unchecked((int)0x80000000), 0).Eax < unchecked((uint)firstLeaf) + leaves - 1)
            return RuntimeInformation.ProcessArchitecture.ToString();
        Span<int> registers = stackalloc int[4 * leaves];
        for (int leaf = 0; leaf < leaves; leaf++)
            (registers[4 * leaf], registers[(4 * leaf) + 1], registers[(4 * leaf) + 2], registers[(4 * leaf) + 3]) = X86Base.CpuId(firstLeaf + leaf, 0);
        string name = Encoding.ASCII.GetString(MemoryMarshal.AsBytes(registers)).Replace('\0', ' ');
        return string.Join(' ', name.Split(' ', StringSplitOptions.RemoveEmptyEntries));
    }
}
