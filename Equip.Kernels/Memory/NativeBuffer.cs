using System.Runtime.InteropServices;

namespace Equip.Kernels.Memory;

/// <summary>Native memory, 64-byte aligned so that no vector load of an aligned row crosses a cache line.</summary>
public sealed unsafe class NativeBuffer : IDisposable
{
    /// <summary>The alignment of every buffer, in bytes.</summary>
    public const int Alignment = 64;

    // Large pages are asked for from here on: the last one may be used in part only.
    private const long Large = 4L * HugePages.Bytes;

    private void* _pointer;

    /// <summary>Allocates <paramref name="bytes"/> (contents undefined unless <paramref name="zeroed"/>).</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="bytes"/> is negative.</exception>
    /// <exception cref="OutOfMemoryException">The system has not that much.</exception>
    public NativeBuffer(long bytes, bool zeroed = false)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        bool large = bytes >= Large && HugePages.MayBeHad;
        _pointer = NativeMemory.AlignedAlloc(checked((nuint)Math.Max(bytes, 1)), large ? (nuint)HugePages.Bytes : Alignment);
        if (large) HugePages.Advise(_pointer, (nuint)bytes);
        Length = bytes;
        if (bytes > 0) GC.AddMemoryPressure(bytes);
        if (zeroed) NativeMemory.Clear(_pointer, (nuint)bytes);
    }

    /// <summary>Frees a buffer that was never disposed.</summary>
    ~NativeBuffer() => Free();

    /// <summary>The size in bytes.</summary>
    public long Length { get; }

    /// <summary>The first byte.</summary>
    /// <exception cref="ObjectDisposedException">The buffer was disposed.</exception>
    public void* Pointer
    {
        get
        {
            ObjectDisposedException.ThrowIf(_pointer == null, this);
            return _pointer;
        }
    }

    /// <summary>The buffer as elements of <typeparamref name="T"/>, from its start.</summary>
    /// <exception cref="OverflowException">It holds more than <see cref="int.MaxValue"/> elements.</exception>
    public Span<T> AsSpan<T>()
        where T : unmanaged => new(Pointer, checked((int)(Length / sizeof(T))));

    /// <summary>Frees the memory. Safe to call twice.</summary>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        if (_pointer == null) return;
        NativeMemory.AlignedFree(_pointer);
        _pointer = null;
        if (Length > 0) GC.RemoveMemoryPressure(Length);
    }
}
