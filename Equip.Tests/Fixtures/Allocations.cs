namespace Equip.Tests.Fixtures;

internal static class Allocations
{
    private const int Rounds = 5;

    /// <summary>
    /// Asserts that an action, once it has run, allocates nothing on this thread. What it allocates shows in every round; the runtime books bytes
    /// of its own in some: at the first wake of a parked worker, and when a collection, which any thread may start, takes this thread's
    /// allocation buffer away before it is full.
    /// </summary>
    public static void AssertNone(Action action)
    {
        action();
        long least = long.MaxValue;
        for (int round = 0; round < Rounds; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            action();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.That(least, Is.Zero, "bytes allocated");
    }
}
