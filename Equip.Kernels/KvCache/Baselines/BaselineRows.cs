namespace Equip.Kernels.KvCache.Baselines;

/// <summary>How the baselines cut a layer's rows among the threads.</summary>
internal static class BaselineRows
{
    // A few chunks a thread, so that one that lost its core is helped out, but none so short that starting it counts.
    private const int ChunksPerThread = 4, FewestRows = 8;

    /// <summary>Parts of each head's rows: 1 where the heads alone keep the threads busy.</summary>
    public static int Segments(int heads, int rows, int threads)
        => threads == 1 ? 1 : Math.Clamp(((ChunksPerThread * threads) + heads - 1) / heads, 1, Math.Max(1, rows / FewestRows));
}
