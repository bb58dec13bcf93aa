using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Equip.Kernels.Interop;

/// <summary>
/// The checks of what a C caller passes: counts in 64 bits, pointers that are there and aligned, memory that lies apart. Messages are written in
/// methods of their own, as the check would otherwise clear room for them on every call.
/// </summary>
internal static unsafe class Argument
{
    // A struct of a later version may be this long.
    public const uint LongestStruct = 4096;

    /// <summary>Memory that a call reads, as a span.</summary>
    public static ReadOnlySpan<T> Input<T>(T* pointer, long count, string name)
        where T : unmanaged => Span(pointer, count, name);

    /// <summary>Memory that a call writes, as a span.</summary>
    public static Span<T> Output<T>(T* pointer, long count, string name)
        where T : unmanaged => Span(pointer, count, name);

    /// <summary>A result by pointer.</summary>
    public static ref T Result<T>(T* pointer, string name)
        where T : unmanaged
    {
        Pointer(pointer, sizeof(T), name);
        return ref *pointer;
    }

    /// <summary>A count that .NET can hold.</summary>
    public static int Count(long value, string name, int least = 0)
    {
        if (value < least || value > int.MaxValue) ThrowRange(name, value, least, int.MaxValue);
        return (int)value;
    }

    /// <summary>A value of an enumeration whose values are 0, 1, ... <paramref name="last"/>.</summary>
    public static int Enumeration(int value, int last, string name, string field = "")
    {
        if ((uint)value > (uint)last) ThrowRange(name + field, value, 0, last);
        return value;
    }

    /// <summary>a b c, which must be a number of elements that fits.</summary>
    public static long Product(long a, long b, long c = 1, long d = 1, [CallerArgumentExpression(nameof(a))] string name = "")
    {
        long product = Times(Times(Times(a, b), c), d);
        if (product < 0) ThrowProduct(name, a, b, c, d);
        return product;
    }

    /// <summary>A pointer that must be there, and aligned to a power of two.</summary>
    public static void Pointer(void* pointer, int alignment, string name, string field = "")
    {
        if (pointer == null) ThrowNull(name + field);
        if (((nuint)pointer & (nuint)(alignment - 1)) != 0) ThrowMisaligned(name + field, alignment);
    }

    /// <summary>A block of memory, which must be there and aligned unless it is empty.</summary>
    public static void Memory(void* pointer, long bytes, int alignment, string name, string field = "")
    {
        if (bytes == 0) return;
        Pointer(pointer, alignment, name, field);
        if (bytes < 0 || (long)((nuint)pointer + (nuint)bytes) < 0) ThrowBeyond(name + field, bytes);
    }

    /// <summary>Two blocks that may not share a byte.</summary>
    public static void Apart(void* a, long aBytes, string aName, void* b, long bBytes, string bName)
    {
        if (aBytes > 0 && bBytes > 0 && (nuint)a < (nuint)b + (nuint)bBytes && (nuint)b < (nuint)a + (nuint)aBytes) ThrowOverlap(aName, bName);
    }

    /// <summary>Two spans that may not share a byte.</summary>
    public static void Apart<TA, TB>(ReadOnlySpan<TA> a, string aName, ReadOnlySpan<TB> b, string bName)
        where TA : unmanaged
        where TB : unmanaged
    {
        fixed (TA* first = a)
        fixed (TB* second = b) Apart(first, (long)a.Length * sizeof(TA), aName, second, (long)b.Length * sizeof(TB), bName);
    }

    /// <summary>
    /// A struct that begins with its size as the caller knows it. A longer one comes from a caller with a later header: it is
    /// accepted if what this version does not know is zero.
    /// </summary>
    public static T Struct<T>(T* pointer, string name)
        where T : unmanaged
    {
        Pointer(pointer, sizeof(long), name);
        uint size = *(uint*)pointer;
        if (size < sizeof(T) || size > LongestStruct) ThrowSize(name, size, sizeof(T));
        for (byte* unknown = (byte*)pointer + sizeof(T); unknown < (byte*)pointer + size; unknown++)
            if (*unknown != 0) ThrowUnknown(name, size);
        return *pointer;
    }

    /// <summary>A struct that receives results: the caller's size must be the one known here, or longer.</summary>
    public static ref T StructResult<T>(T* pointer, string name)
        where T : unmanaged
    {
        Pointer(pointer, sizeof(long), name);
        uint size = *(uint*)pointer;
        if (size < sizeof(T) || size > LongestStruct) ThrowSize(name, size, sizeof(T));
        return ref *pointer;
    }

    [DoesNotReturn]
    public static void Throw(string message) => throw new InteropException(EquipStatus.InvalidArgument, message);

    [DoesNotReturn]
    public static void ThrowOverlap(string a, string b) => Throw($"{a}: overlaps {b}");

    [DoesNotReturn]
    public static void ThrowRange(string name, long value, long least, long most) => Throw($"{name}: got {value}, expected {least} to {most}");

    [DoesNotReturn]
    private static void ThrowSize(string name, uint size, int expected) => Throw($"{name}->struct_size: got {size}, expected {expected}");

    [DoesNotReturn]
    private static void ThrowUnknown(string name, uint size)
        => throw new InteropException(EquipStatus.Unsupported, $"{name}->struct_size: got {size} with fields that version {Exports.AbiVersionNumber} does not know");

    [DoesNotReturn]
    private static void ThrowElements(string name, long count) => Throw($"{name}: got {count} elements, expected 0 to {int.MaxValue}");

    [DoesNotReturn]
    private static void ThrowProduct(string name, long a, long b, long c, long d) => Throw($"{name}: {a} x {b} x {c} x {d} elements, expected fewer than 2^63");

    [DoesNotReturn]
    private static void ThrowNull(string name) => Throw($"{name}: got a null pointer");

    [DoesNotReturn]
    private static void ThrowMisaligned(string name, int alignment) => Throw($"{name}: got an address that is not a multiple of {alignment}");

    [DoesNotReturn]
    private static void ThrowBeyond(string name, long bytes) => Throw($"{name}: {bytes} bytes reach beyond the address space");

    /// <summary>a b, or -1 if it or a factor is not a count.</summary>
    private static long Times(long a, long b) => (ulong)(a | b) <= int.MaxValue ? a * b : TimesLarge(a, b);

    private static long TimesLarge(long a, long b) => (a | b) >= 0 && Math.BigMul((ulong)a, (ulong)b, out ulong product) == 0 && (long)product >= 0 ? (long)product : -1;

    private static Span<T> Span<T>(T* pointer, long count, string name)
        where T : unmanaged
    {
        if (count < 0 || count > int.MaxValue) ThrowElements(name, count);
        if (count == 0) return default;
        Memory(pointer, count * sizeof(T), Math.Min(sizeof(T), sizeof(long)), name);
        return new Span<T>(pointer, (int)count);
    }
}
