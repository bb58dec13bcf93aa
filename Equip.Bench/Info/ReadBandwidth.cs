using System.Diagnostics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Memory;

namespace Equip.Bench.Info;

/// <summary>
/// Read bandwidth over a buffer: every thread reads four places of its part in turns, as one sequential stream a core leaves
/// much of memory's bandwidth unused, and asks for what comes next at the distance that serves this machine best. The ceiling to hold weights/s and attention against.
/// </summary>
internal sealed unsafe class ReadBandwidth : IDisposable
{
    private const int Passes = 20, Streams = 4;

    // Passes over the buffer for each distance that is tried.
    private const int Trials = 3;

    // Words (512 bytes, 2 KiB): on some parts it is best to let the hardware's own prefetchers stay in front, on others they do not run that
    // far ahead.
    private static readonly int[] _distances = [64, 256];

    // One chunk a thread would leave a slow core behind; many small ones would break up the streams.
    private const int ChunksPerThread = 8;

    private readonly NativeBuffer _buffer;
    private readonly NativeBuffer _sums;
    private readonly int _chunks;
    private readonly long _words;
    private int _ahead;

    /// <summary>Makes a buffer.</summary>
    /// <param name="bytes">Its size, rounded to whole vectors of every stream; far above the caches for memory's bandwidth.</param>
    /// <param name="threads">Threads that are to read it.</param>
    public ReadBandwidth(long bytes, int threads)
    {
        _chunks = threads * ChunksPerThread;
        _words = Math.Max(1, bytes / (sizeof(Vector512<long>) * Streams * _chunks)) * Vector512<long>.Count;
        _buffer = new NativeBuffer(_words * sizeof(long) * Streams * _chunks);
        _sums = new NativeBuffer(_chunks * sizeof(long), zeroed: true);
        // Zero pages that nothing has written may all be one page: write first.
        for (long offset = 0; offset < _buffer.Length; offset += 1 << 28)
            new Span<byte>((byte*)_buffer.Pointer + offset, (int)Math.Min(1 << 28, _buffer.Length - offset)).Fill(1);
    }

    /// <summary>Reads a new buffer several times and returns the best pass in bytes a second.</summary>
    /// <param name="pool">Threads.</param>
    /// <param name="bytes">Size of the buffer.</param>
    public static double Measure(WorkerPool pool, long bytes)
    {
        using ReadBandwidth bandwidth = new(bytes, pool.Threads);
        return Enumerable.Range(0, Passes).Max(_ => bandwidth.Sample(pool, 0));
    }

    /// <summary>Reads the buffer once, and again until some time has passed.</summary>
    /// <param name="pool">Threads.</param>
    /// <param name="seconds">That time.</param>
    /// <returns>Bytes a second.</returns>
    public double Sample(WorkerPool pool, double seconds)
    {
        if (_ahead == 0) _ahead = _distances.MaxBy(distance => Enumerable.Range(0, Trials).Max(_ => Read(pool, 0, distance)));
        return Read(pool, seconds, _ahead);
    }

    private double Read(WorkerPool pool, double seconds, int ahead)
    {
        ReadJob job = new() { Data = (long*)_buffer.Pointer, Words = _words, Ahead = ahead, Sums = (long*)_sums.Pointer };
        long start = Stopwatch.GetTimestamp(), passes = 0;
        double elapsed;
        do
        {
            pool.Run(in job, _chunks);
            passes++;
            elapsed = Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
        while (elapsed < seconds);

        // The sums are known, so no read can have been left out.
        long sum = 0;
        foreach (long part in _sums.AsSpan<long>()) sum += part;
        long expected = unchecked(0x0101010101010101 * _words * Streams * _chunks);
        if (sum != expected) throw new InvalidOperationException($"the buffer sums to {sum}, expected {expected}");
        return _buffer.Length * passes / elapsed;
    }

    public void Dispose()
    {
        _buffer.Dispose();
        _sums.Dispose();
    }

    private struct ReadJob : IParallelJob
    {
        public long* Data, Sums;
        public long Words;
        public int Ahead;

        public readonly void Execute(int chunk, int worker)
        {
            long* first = Data + (chunk * Words * Streams);
            long* second = first + Words, third = second + Words, fourth = third + Words;
            Vector512<long> a = Vector512<long>.Zero, b = a, c = a, d = a;
            for (long i = 0; i < Words; i += Vector512<long>.Count)
            {
                // A prefetch past the end of the buffer is dropped, it never faults.
                if (Sse.IsSupported)
                {
                    Sse.Prefetch0(first + i + Ahead);
                    Sse.Prefetch0(second + i + Ahead);
                    Sse.Prefetch0(third + i + Ahead);
                    Sse.Prefetch0(fourth + i + Ahead);
                }

                a += Vector512.Load(first + i);
                b += Vector512.Load(second + i);
                c += Vector512.Load(third + i);
                d += Vector512.Load(fourth + i);
            }

            Sums[chunk] = Vector512.Sum(a + b + c + d);
        }
    }
}
