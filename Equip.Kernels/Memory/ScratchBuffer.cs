namespace Equip.Kernels.Memory;

/// <summary>Native memory that grows to what is asked for and keeps nothing when it does. One thread at a time.</summary>
public sealed unsafe class ScratchBuffer : IDisposable
{
    private NativeBuffer? _buffer;

    /// <summary>At least <paramref name="bytes"/>, valid until more are asked for; contents undefined.</summary>
    /// <exception cref="OutOfMemoryException">The system has not that much.</exception>
    public void* Reserve(long bytes)
    {
        if (_buffer is null || _buffer.Length < bytes)
        {
            _buffer?.Dispose();
            _buffer = null;
            _buffer = new NativeBuffer(bytes);
        }

        return _buffer.Pointer;
    }

    /// <summary>Frees the memory.</summary>
    public void Dispose()
    {
        _buffer?.Dispose();
        _buffer = null;
    }
}
