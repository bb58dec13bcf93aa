using Equip.Kernels.Memory;

namespace Equip.Model.Pruning;

/// <summary>
/// Memory that sequences use one after the other: the first touch of new memory costs several times what filling it again does. What is idle is kept
/// until the pool is disposed of; there are never more buffers than were lent at once. For any thread.
/// </summary>
internal sealed class BufferPool : IDisposable
{
    private readonly List<NativeBuffer> _idle = [];
    private bool _disposed;

    /// <summary>Bytes that are kept and not lent.</summary>
    public long IdleBytes
    {
        get
        {
            lock (_idle) return _idle.Sum(buffer => buffer.Length);
        }
    }

    /// <summary>Lends a buffer of at least so many bytes, contents undefined.</summary>
    /// <exception cref="OutOfMemoryException">The system has not that much.</exception>
    public NativeBuffer Rent(long bytes)
    {
        lock (_idle)
        {
            NativeBuffer? fit = _idle.Where(buffer => buffer.Length >= bytes && buffer.Length <= 2 * bytes).MinBy(buffer => buffer.Length);
            // A buffer that does not fit makes room for one that does.
            NativeBuffer? taken = fit ?? _idle.MinBy(buffer => Math.Abs(buffer.Length - bytes));
            if (taken is not null) _idle.Remove(taken);
            if (fit is not null) return fit;
            taken?.Dispose();
        }

        return new NativeBuffer(bytes);
    }

    /// <summary>Takes a lent buffer back.</summary>
    public void Return(NativeBuffer buffer)
    {
        lock (_idle)
        {
            if (_disposed) buffer.Dispose();
            else _idle.Add(buffer);
        }
    }

    /// <summary>Frees what is idle; what is lent is freed when it comes back.</summary>
    public void Dispose()
    {
        lock (_idle)
        {
            _disposed = true;
            foreach (NativeBuffer buffer in _idle) buffer.Dispose();
            _idle.Clear();
        }
    }
}
