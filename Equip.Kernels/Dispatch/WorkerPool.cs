using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace Equip.Kernels.Dispatch;

/// <summary>Work that a <see cref="WorkerPool"/> cuts into chunks. Holds pointers and counts only.</summary>
public interface IParallelJob
{
    /// <summary>Does chunk <paramref name="chunk"/> on worker <paramref name="worker"/> (0 is the caller).</summary>
    void Execute(int chunk, int worker);
}

/// <summary>Work that holds objects, cut into chunks.</summary>
public interface IParallelTask
{
    /// <summary>Does chunk <paramref name="chunk"/> on worker <paramref name="worker"/> (0 is the caller).</summary>
    void Execute(int chunk, int worker);
}

/// <summary>
/// A persistent pool. Workers spin briefly for the next job and then park. The chunks of a job are fixed by the caller;
/// each worker starts on its own share (so that a chunk's data stays in one core's cache from step to step) and then
/// steals from the others, so that a worker that lost its core cannot hold up the rest. Which worker runs a chunk never
/// changes its result.
/// </summary>
public sealed unsafe class WorkerPool : IDisposable
{
    /// <summary>The most threads a pool may have.</summary>
    public const int MaxThreads = 256;

    /// <summary>The most chunks a job may have.</summary>
    public const int MaxChunks = (1 << 20) - 1;

    // A worker's share of the current job in one word: generation (24 bits), end (20), next (20). Claiming a chunk is one
    // compare-exchange, which fails if the job has changed, so a late worker can never run a chunk of the wrong job.
    private const int EndShift = 20;
    private const int GenerationShift = 40;
    private const long ChunkMask = MaxChunks;

    // About 30 us of spinning on current server parts; a decode step has serial gaps of a few us.
    private const int SpinsBeforeParking = 1500;

    private readonly Thread[] _workers;
    private readonly SemaphoreSlim[] _wake;
    private readonly Lock _callers = new();
    private PaddedLong[] _tickets;
    private PaddedLong _remaining;
    private PaddedLong _generation;
    private PaddedInt[] _parked;
    private delegate*<void*, int, int, void> _execute;
    private void* _job;
    private ExceptionDispatchInfo? _failure;
    private volatile bool _stopping;

    [ThreadStatic]
    private static bool _insideJob;

    /// <summary>Starts <paramref name="threads"/> - 1 background threads; the caller is the last one.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="threads"/> is outside [1, <see cref="MaxThreads"/>].</exception>
    public WorkerPool(int threads)
    {
        if (threads is < 1 or > MaxThreads)
            throw new ArgumentOutOfRangeException(nameof(threads), threads, $"threads: got {threads}, expected 1 to {MaxThreads}");
        Threads = threads;
        _tickets = GC.AllocateArray<PaddedLong>(threads, pinned: true);
        _parked = GC.AllocateArray<PaddedInt>(threads, pinned: true);
        _wake = new SemaphoreSlim[threads];
        _workers = new Thread[threads - 1];
        for (int worker = 1; worker < threads; worker++)
        {
            int index = worker;
            _wake[index] = new SemaphoreSlim(0);
            _workers[index - 1] = new Thread(() => Work(index)) { IsBackground = true, Name = $"Equip worker {index}" };
            _workers[index - 1].Start();
        }
    }

    /// <summary>Threads that compute, the caller's included.</summary>
    public int Threads { get; }

    /// <summary>
    /// Runs chunks [0, <paramref name="chunks"/>) of <paramref name="job"/> and returns when all are done. Calls from several
    /// threads take turns; a call from inside a job runs on the calling thread alone.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="chunks"/> is negative or over <see cref="MaxChunks"/>.</exception>
    public void Run<TJob>(in TJob job, int chunks)
        where TJob : unmanaged, IParallelJob
    {
        if (chunks is < 0 or > MaxChunks)
            throw new ArgumentOutOfRangeException(nameof(chunks), chunks, $"chunks: got {chunks}, expected 0 to {MaxChunks}");
        if (Threads == 1 || chunks <= 1 || _insideJob)
        {
            // Not copied: small calls would notice.
            for (int chunk = 0; chunk < chunks; chunk++) Unsafe.AsRef(in job).Execute(chunk, 0);
            return;
        }

        TJob local = job;
        lock (_callers) Share(&Execute<TJob>, &local, chunks);
    }

    /// <summary>As <see cref="Run{TJob}"/>, for work that holds objects. Allocates nothing.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="chunks"/> is negative or over <see cref="MaxChunks"/>.</exception>
    public void Run(IParallelTask task, int chunks)
    {
        ArgumentNullException.ThrowIfNull(task);
        GCHandle handle = GCHandle.Alloc(task);
        try
        {
            Run(new TaskJob { Handle = GCHandle.ToIntPtr(handle) }, chunks);
        }
        finally
        {
            handle.Free();
        }
    }

    /// <summary>Stops the threads. Safe to call twice.</summary>
    public void Dispose()
    {
        if (_stopping) return;
        _stopping = true;
        for (int worker = 1; worker < Threads; worker++) _wake[worker].Release();
        foreach (Thread thread in _workers) thread.Join();
        for (int worker = 1; worker < Threads; worker++) _wake[worker].Dispose();
    }

    private static void Execute<TJob>(void* job, int chunk, int worker)
        where TJob : unmanaged, IParallelJob => ((TJob*)job)->Execute(chunk, worker);

    private void Share(delegate*<void*, int, int, void> execute, void* job, int chunks)
    {
        ObjectDisposedException.ThrowIf(_stopping, this);
        _execute = execute;
        _job = job;
        _failure = null;
        Volatile.Write(ref _remaining.Value, chunks);
        long generation = (_generation.Value + 1) & 0xFFFFFF;
        for (int worker = 0; worker < Threads; worker++)
        {
            long first = (long)chunks * worker / Threads, end = (long)chunks * (worker + 1) / Threads;
            Volatile.Write(ref _tickets[worker].Value, (generation << GenerationShift) | (end << EndShift) | first);
        }

        Interlocked.Exchange(ref _generation.Value, generation);
        for (int worker = 1; worker < Threads; worker++)
            if (Volatile.Read(ref _parked[worker].Value) != 0 && Interlocked.Exchange(ref _parked[worker].Value, 0) != 0) _wake[worker].Release();

        RunChunks(generation, 0);
        SpinWait wait = default;
        while (Volatile.Read(ref _remaining.Value) != 0)
        {
            // Yield only after a while: the last chunk is normally about to end, but its worker may have lost its core to us.
            if (wait.Count < 200) wait.SpinOnce(sleep1Threshold: -1);
            else Thread.Yield();
        }

        _failure?.Throw();
    }

    private void Work(int worker)
    {
        long seen = 0;
        while (!_stopping)
        {
            long generation = WaitForJob(worker, seen);
            if (_stopping) return;
            seen = generation;
            RunChunks(generation, worker);
        }
    }

    private long WaitForJob(int worker, long seen)
    {
        for (int spin = 0; spin < SpinsBeforeParking; spin++)
        {
            long generation = Volatile.Read(ref _generation.Value);
            if (generation != seen || _stopping) return generation;
            Thread.SpinWait(1);
        }

        // Announce, then look again: a job posted in between is seen here or wakes us.
        Interlocked.Exchange(ref _parked[worker].Value, 1);
        long now = Interlocked.Read(ref _generation.Value);
        if (now != seen || _stopping)
        {
            if (Interlocked.Exchange(ref _parked[worker].Value, 0) == 0 && !_stopping) _wake[worker].Wait();
            return now;
        }

        _wake[worker].Wait();
        Volatile.Write(ref _parked[worker].Value, 0);
        return Volatile.Read(ref _generation.Value);
    }

    private void RunChunks(long generation, int worker)
    {
        for (int turn = 0; turn < Threads; turn++)
        {
            ref long ticket = ref _tickets[(worker + turn) % Threads].Value;
            while (true)
            {
                long seen = Volatile.Read(ref ticket);
                long next = seen & ChunkMask, end = (seen >> EndShift) & ChunkMask;
                if (seen >>> GenerationShift != generation || next >= end) break;
                delegate*<void*, int, int, void> execute = _execute;
                void* job = _job;
                if (Interlocked.CompareExchange(ref ticket, seen + 1, seen) != seen) continue;
                RunChunk(execute, job, (int)next, worker);
            }
        }
    }

    private void RunChunk(delegate*<void*, int, int, void> execute, void* job, int chunk, int worker)
    {
        _insideJob = true;
        try
        {
            execute(job, chunk, worker);
        }
#pragma warning disable CA1031 // Whatever a chunk throws belongs to the caller of Run, not to this thread.
        catch (Exception failure)
#pragma warning restore CA1031
        {
            Interlocked.CompareExchange(ref _failure, ExceptionDispatchInfo.Capture(failure), null);
        }
        finally
        {
            _insideJob = false;
            Interlocked.Decrement(ref _remaining.Value);
        }
    }

    private struct TaskJob : IParallelJob
    {
        public nint Handle;

        public readonly void Execute(int chunk, int worker) => ((IParallelTask)GCHandle.FromIntPtr(Handle).Target!).Execute(chunk, worker);
    }

    [StructLayout(LayoutKind.Explicit, Size = 128)]
    private struct PaddedLong
    {
        [FieldOffset(64)]
        public long Value;
    }

    [StructLayout(LayoutKind.Explicit, Size = 128)]
    private struct PaddedInt
    {
        [FieldOffset(64)]
        public int Value;
    }
}
