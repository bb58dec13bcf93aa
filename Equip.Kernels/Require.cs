using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Equip.Kernels;

/// <summary>The checks of public entries. Messages name the argument, what came and what was expected.</summary>
internal static class Require
{
    public static void InRange(long value, long min, long max, [CallerArgumentExpression(nameof(value))] string name = "")
    {
        if (value < min || value > max) ThrowRange(value, min, max, name);
    }

    /// <summary>A span must hold at least <paramref name="expected"/> elements.</summary>
    public static void AtLeast(long length, long expected, [CallerArgumentExpression(nameof(length))] string name = "")
    {
        if (length < expected) ThrowLength(length, expected, name);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiple(int value, int of, [CallerArgumentExpression(nameof(value))] string name = "")
    {
        if (value % of != 0) ThrowMultiple(value, of, name);
    }

    public static unsafe void NotNull(void* pointer, string name)
    {
        if (pointer == null) throw new ArgumentNullException(name);
    }

    /// <summary>Spans may be the same memory from the same start, or apart; partial overlap is refused.</summary>
    public static void NoPartialOverlap(ReadOnlySpan<float> input, ReadOnlySpan<float> output, string name)
    {
        if (!Unsafe.AreSame(ref System.Runtime.InteropServices.MemoryMarshal.GetReference(input), ref System.Runtime.InteropServices.MemoryMarshal.GetReference(output)) && input.Overlaps(output))
            ThrowOverlap(name);
    }

    // Messages apart: a check that writes its own clears room for it on every call.
    [DoesNotReturn]
    private static void ThrowRange(long value, long min, long max, string name) => throw new ArgumentOutOfRangeException(name, value, $"{name}: got {value}, expected {min} to {max}");

    [DoesNotReturn]
    private static void ThrowLength(long length, long expected, string name) => throw new ArgumentException($"{name}: got {length} elements, expected at least {expected}", name);

    [DoesNotReturn]
    private static void ThrowMultiple(int value, int of, string name) => throw new ArgumentException($"{name}: got {value}, expected a multiple of {of}", name);

    [DoesNotReturn]
    private static void ThrowOverlap(string name) => throw new ArgumentException($"{name}: overlaps another argument from a different start", name);
}
