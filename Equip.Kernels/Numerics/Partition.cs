using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Numerics;

/// <summary>Cuts independent units of work into chunks. Depends on shape and thread count only.</summary>
internal static class Partition
{
    // A few chunks a thread, so that one that lost its core is helped out.
    private const int ChunksPerThread = 4;

    /// <summary>Chunks for <paramref name="units"/> of <paramref name="unitElements"/> each: 1 unless every chunk gets <paramref name="leastElements"/>.</summary>
    public static int Chunks(KernelContext context, long units, long unitElements, long leastElements)
    {
        if (context.Threads == 1) return 1;
        long chunks = Math.Min(Math.Min(units, (long)context.Threads * ChunksPerThread), units * unitElements / leastElements);

        // Equal shares: three chunks on two threads take as long as four.
        if (chunks > context.Threads) chunks -= chunks % context.Threads;
        return (int)Math.Max(1, chunks);
    }

    /// <summary>The first unit of a chunk; chunk + 1 gives its end.</summary>
    public static long First(long units, int chunk, int chunks) => chunks == 1 ? units * chunk : units * chunk / chunks;
}
