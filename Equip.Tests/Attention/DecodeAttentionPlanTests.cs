using Equip.Kernels.Attention;
using Equip.Kernels.Numerics;

namespace Equip.Tests.Attention;

internal sealed unsafe class DecodeAttentionPlanTests
{
    [Test]
    public void Fill_RandomStreams_CoversEveryRowOnce()
    {
        Random random = new(42);
        for (int round = 0; round < 300; round++)
        {
            int[][] streams = [.. Enumerable.Range(0, random.Next(1, 9)).Select(_ => Enumerable.Range(0, random.Next(0, 5)).Select(_ => random.Next(0, random.Next(1, 3000))).ToArray())];
            int threads = random.Next(1, 9);
            List<(int Stream, long First, long Rows, int Chunk)> parts = Plan(streams, threads, out int chunks);
            Assert.That(chunks % threads == 0 || chunks == 1, $"{chunks} chunks for {threads} threads");
            for (int s = 0; s < streams.Length; s++)
            {
                long next = 0, rows = streams[s].Sum();
                foreach ((int _, long first, long count, int _) in parts.Where(part => part.Stream == s))
                {
                    Assert.That(first, Is.EqualTo(next));
                    Assert.That(count, Is.GreaterThanOrEqualTo(Math.Min(64, rows)));
                    next += count;
                }

                Assert.That(next, Is.EqualTo(rows));
            }
        }
    }

    [TestCase(8, 16384, 2, 8)]
    [TestCase(2, 100, 2, 2)]
    [TestCase(12, 1024, 2, 8)]
    [TestCase(3, 4096, 2, 8)]
    [TestCase(1, 4096, 4, 16)]
    public void Fill_EqualStreams_BalancesThreads(int streams, int rows, int threads, int expectedChunks)
    {
        List<(int Stream, long First, long Rows, int Chunk)> parts = Plan([.. Enumerable.Repeat(new[] { rows }, streams)], threads, out int chunks);
        Assert.That(chunks, Is.EqualTo(expectedChunks));
        double share = (double)streams * rows / threads;
        for (int thread = 0; thread < threads; thread++)
            Assert.That(parts.Where(part => part.Chunk * threads / chunks == thread).Sum(part => part.Rows), Is.EqualTo(share).Within(0.03 * share));
    }

    // 64 float32 elements a row: K and V of 1024 rows make 512 KiB.
    private static List<(int Stream, long First, long Rows, int Chunk)> Plan(int[][] streams, int threads, out int chunks)
    {
        AttentionRun[] runs = [.. streams.SelectMany(run => run).Select(tokens => new AttentionRun { Tokens = tokens })];
        int[] firstRun = new int[streams.Length + 1];
        for (int s = 0; s < streams.Length; s++) firstRun[s + 1] = firstRun[s] + streams[s].Length;
        DecodeCall call = new(new AttentionShape(1, 1, 64, DataType.F32), streams.Length, runs.Sum(run => (long)run.Tokens), threads);
        byte[] scratch = new byte[call.Place(null)];
        float[] output = new float[streams.Length * 64];
        List<(int Stream, long First, long Rows, int Chunk)> parts = [];
        fixed (byte* memory = scratch)
        fixed (AttentionRun* run = runs)
        fixed (int* first = firstRun)
        fixed (float* destination = output)
        {
            call.Place(memory);
            call.Runs = run;
            call.FirstRun = first;
            call.Output = destination;
            DecodePlan.Fill(ref call);
            chunks = call.Chunks;
            for (int chunk = 0; chunk < chunks; chunk++)
            {
                for (int p = call.FirstPart[chunk]; p < call.FirstPart[chunk + 1]; p++)
                {
                    DecodePart part = call.Parts[p];
                    long start = part.Skip;
                    for (int r = firstRun[part.Stream]; r < part.Run; r++) start += runs[r].Tokens;
                    Assert.That(part.Before, Is.EqualTo(start + streams.Take(part.Stream).Sum(stream => (long)stream.Sum())));
                    parts.Add((part.Stream, start, part.Rows, chunk));
                }
            }
        }

        return parts;
    }
}
