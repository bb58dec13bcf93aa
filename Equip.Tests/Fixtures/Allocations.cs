namespace Equip.Tests.Fixtures;

internal static class Allocations
{
    private const int Rounds = 5;

    /// <summary>
    /// Asserts that an action, once it has run, allocates nothing on this thread. What it allocates itself shows in every round; in some the
    /// runtime adds bytes of its own: at the first wake of a parked worker, and now and then (7 KB once in some hundred runs of a loop that
    /// allocates nowhere) beside other tests.
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
