using System.Reflection;
using System.Runtime.InteropServices;
using Equip.Kernels.Interop;

namespace Equip.Tests.Abi;

/// <summary>Calls the exports as C does: through function pointers, by name. All arguments are integers or pointers.</summary>
internal static unsafe class Abi
{
    private static readonly Dictionary<string, nint> _pointers = Exports().ToDictionary(pair => pair.Name, pair => pair.Method.MethodHandle.GetFunctionPointer());

    public static IEnumerable<(string Name, MethodInfo Method)> Exports()
    {
        foreach (MethodInfo method in typeof(Exports).GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic))
            if (method.GetCustomAttribute<UnmanagedCallersOnlyAttribute>() is { EntryPoint: { } name }) yield return (name, method);
    }

    public static EquipStatus Call(string name, params ReadOnlySpan<nint> a)
    {
        void* f = (void*)_pointers[name];
        return (EquipStatus)(a.Length switch
        {
            0 => ((delegate* unmanaged<int>)f)(),
            1 => ((delegate* unmanaged<nint, int>)f)(a[0]),
            2 => ((delegate* unmanaged<nint, nint, int>)f)(a[0], a[1]),
            3 => ((delegate* unmanaged<nint, nint, nint, int>)f)(a[0], a[1], a[2]),
            4 => ((delegate* unmanaged<nint, nint, nint, nint, int>)f)(a[0], a[1], a[2], a[3]),
            5 => ((delegate* unmanaged<nint, nint, nint, nint, nint, int>)f)(a[0], a[1], a[2], a[3], a[4]),
            6 => ((delegate* unmanaged<nint, nint, nint, nint, nint, nint, int>)f)(a[0], a[1], a[2], a[3], a[4], a[5]),
            7 => ((delegate* unmanaged<nint, nint, nint, nint, nint, nint, nint, int>)f)(a[0], a[1], a[2], a[3], a[4], a[5], a[6]),
            8 => ((delegate* unmanaged<nint, nint, nint, nint, nint, nint, nint, nint, int>)f)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]),
            9 => ((delegate* unmanaged<nint, nint, nint, nint, nint, nint, nint, nint, nint, int>)f)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8]),
            _ => throw new ArgumentOutOfRangeException(nameof(a)),
        });
    }

    /// <summary>A call that must succeed.</summary>
    public static void Ok(string name, params ReadOnlySpan<nint> arguments)
    {
        EquipStatus status = Call(name, arguments);
        if (status != EquipStatus.Ok) Assert.Fail($"{name}: {status}, {LastError}");
    }

    public static string LastError => Text("equip_last_error");

    /// <summary>A function that returns a string.</summary>
    public static string Text(string name) => Marshal.PtrToStringUTF8(((delegate* unmanaged<nint>)_pointers[name])())!;

    /// <summary>A function that returns a string for a number, or null.</summary>
    public static string? Text(string name, int number) => Marshal.PtrToStringUTF8(((delegate* unmanaged<int, nint>)_pointers[name])(number));
}
