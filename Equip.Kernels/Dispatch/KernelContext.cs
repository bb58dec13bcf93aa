using Equip.Kernels.Memory;

namespace Equip.Kernels.Dispatch;

/// <summary>
/// What every kernel call needs: the code path, the threads, and scratch memory that is kept between calls so that a
/// decode step allocates nothing. One thread at a time may use a context; contexts are independent of each other.
/// </summary>
public sealed unsafe class KernelContext : IDisposable
{
    private readonly NativeBuffer?[] _scratch;

    /// <summary>Makes a context.</summary>
    /// <param name="isa">The code path; <see cref="Dispatch.Isa.Auto"/> chooses.</param>
    /// <param name="threads">Threads to compute on, the caller's included; 0 for one a processor.</param>
    /// <exception cref="PlatformNotSupportedException">The path does not run here.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="threads"/> is negative or over 256.</exception>
    public KernelContext(Isa isa = Isa.Auto, int threads = 0)
    {
        if (threads is < 0 or > WorkerPool.MaxThreads)
            throw new ArgumentOutOfRangeException(nameof(threads), threads, $"threads: got {threads}, expected 0 (one a processor) to {WorkerPool.MaxThreads}");
        Isa = IsaRegistry.Resolve(isa);
        Pool = new WorkerPool(threads == 0 ? Math.Min(Environment.ProcessorCount, WorkerPool.MaxThreads) : threads);
        _scratch = new NativeBuffer?[Pool.Threads + 1];
    }

    /// <summary>The code path of every kernel called with this context; never <see cref="Dispatch.Isa.Auto"/>.</summary>
    public Isa Isa { get; }

    /// <summary>The threads.</summary>
    public WorkerPool Pool { get; }

    /// <summary>Threads in the pool, the caller's included.</summary>
    public int Threads => Pool.Threads;

    /// <summary>At least <paramref name="bytes"/> of 64-byte aligned scratch of worker <paramref name="worker"/>; contents undefined.</summary>
    internal void* WorkerScratch(int worker, long bytes) => Grow(ref _scratch[worker + 1], bytes);

    /// <summary>At least <paramref name="bytes"/> of 64-byte aligned scratch shared by the workers of one call; contents undefined.</summary>
    internal void* SharedScratch(long bytes) => Grow(ref _scratch[0], bytes);

    /// <summary>Stops the threads and frees the scratch memory.</summary>
    public void Dispose()
    {
        Pool.Dispose();
        foreach (NativeBuffer? buffer in _scratch) buffer?.Dispose();
    }

    private static void* Grow(ref NativeBuffer? buffer, long bytes)
    {
        if (buffer is null || buffer.Length < bytes)
        {
            buffer?.Dispose();
            buffer = new NativeBuffer(Math.Max(bytes, 4096));
        }

        return buffer.Pointer;
    }
}
