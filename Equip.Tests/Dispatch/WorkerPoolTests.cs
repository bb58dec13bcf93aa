using System.Diagnostics;
using Equip.Kernels.Dispatch;

namespace Equip.Tests.Dispatch;

internal sealed unsafe class WorkerPoolTests
{
    [TestCase(1)]
    [TestCase(2)]
    [TestCase(5)]
    public void Run_ManyJobs_EveryChunkRunsOnce(int threads)
    {
        using WorkerPool pool = new(threads);
        int[] counts = new int[300];
        fixed (int* p = counts)
        {
            for (int round = 1; round <= 2000; round++)
            {
                int chunks = round % counts.Length;
                Array.Clear(counts);
                pool.Run(new Count { Counts = p }, chunks);
                Assert.That(counts.Take(chunks), Is.All.EqualTo(1));
                Assert.That(counts.Skip(chunks), Is.All.EqualTo(0));
            }
        }
    }

    [Test]
    public void Run_ChunkThrows_CallerGetsItAndPoolGoesOn()
    {
        using WorkerPool pool = new(3);
        Assert.Throws<InvalidOperationException>(() => pool.Run(default(Throw), 40));
        int[] counts = new int[9];
        fixed (int* p = counts) pool.Run(new Count { Counts = p }, 9);
        Assert.That(counts, Is.All.EqualTo(1));
    }

    [Test]
    public void Run_FromSeveralThreads_TakesTurns()
    {
        using WorkerPool pool = new(2);
        Parallel.For(0, 8, _ =>
        {
            int[] counts = new int[64];
            fixed (int* p = counts)
                for (int round = 0; round < 500; round++) pool.Run(new Count { Counts = p }, 64);
            Assert.That(counts, Is.All.EqualTo(500));
        });
    }

    [Test]
    public void Run_AfterParking_WakesWorkers()
    {
        using WorkerPool pool = new(2);
        int[] counts = new int[8];
        for (int round = 1; round <= 20; round++)
        {
            using ManualResetEventSlim pause = new();
            pause.Wait(2);
            fixed (int* p = counts) pool.Run(new Count { Counts = p }, 8);
            Assert.That(counts, Is.All.EqualTo(round));
        }
    }

    // A join that only spins waits for a time slice, some milliseconds, whenever its worker is not running.
    [Test]
    public void Run_OthersKeepEveryCoreBusy_DoesNotWaitForTimeSlices()
    {
        using WorkerPool pool = new(2);
        bool stop = false;
        Thread[] others = [.. Enumerable.Range(0, Environment.ProcessorCount).Select(_ => new Thread(() => { while (!Volatile.Read(ref stop)) { } }))];
        foreach (Thread other in others) other.Start();
        int[] counts = new int[8];
        List<double> milliseconds = [];
        fixed (int* p = counts)
        {
            for (int round = 0; round < 301; round++)
            {
                long start = Stopwatch.GetTimestamp();
                pool.Run(new Count { Counts = p }, counts.Length);
                milliseconds.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            }
        }

        Volatile.Write(ref stop, true);
        foreach (Thread other in others) other.Join();
        milliseconds.Sort();
        Assert.That(counts, Is.All.EqualTo(301));
        Assert.That(milliseconds[150], Is.LessThan(1), "median of 301 runs, ms");
    }

    [Test]
    public void Constructor_ThreadsOutOfRange_NamesRange()
        => Assert.That(() => new WorkerPool(0), Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.Contains("expected 1 to 256"));

    private struct Count : IParallelJob
    {
        public int* Counts;

        public readonly void Execute(int chunk, int worker) => Interlocked.Increment(ref Counts[chunk]);
    }

    private struct Throw : IParallelJob
    {
        public readonly void Execute(int chunk, int worker)
        {
            if (chunk == 7) throw new InvalidOperationException("chunk 7");
        }
    }
}
