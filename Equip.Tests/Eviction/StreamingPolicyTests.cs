using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;

namespace Equip.Tests.Eviction;

internal sealed class StreamingPolicyTests
{
    [TestCase(0, 1)]
    [TestCase(0, 7)]
    [TestCase(4, 5)]
    [TestCase(4, 12)]
    public void ChooseSlots_LongDecode_KeepsSinksAndNewest(int sinks, int budget)
    {
        using PagePool pool = new(budget, 16, DataType.F32);
        HeadCache cache = new(pool);
        StreamingPolicy policy = new(new PolicyOptions { BudgetTokens = budget, SinkTokens = sinks });
        for (int position = 0; position < 60; position++)
        {
            Insert(policy, cache, position);
            AssertLive(cache, sinks, budget, position);
        }
    }

    [Test]
    public void Keep_ThenDecode_RingGoesOnWithTheOldest([Values(3, 12, 13, 40)] int prompt)
    {
        const int Sinks = 4, Budget = 12;
        using PagePool pool = new(Budget, 16, DataType.F32);
        HeadCache cache = new(pool);
        StreamingPolicy policy = new(new PolicyOptions { BudgetTokens = Budget, SinkTokens = Sinks });
        int[] kept = policy.Keep(prompt);
        for (int i = 0; i < kept.Length; i++) cache.Write(Isa.Scalar, i, new float[16], new float[16], kept[i], kept[i]);
        AssertLive(cache, Sinks, Budget, prompt - 1);
        for (int position = prompt; position < prompt + 30; position++)
        {
            Insert(policy, cache, position);
            AssertLive(cache, Sinks, Budget, position);
        }
    }

    [TestCase(4, 4)]
    [TestCase(-1, 8)]
    [TestCase(0, 0)]
    public void Constructor_NoRoomForAWindow_NamesTheRange(int sinks, int budget)
        => Assert.That(() => new StreamingPolicy(new PolicyOptions { BudgetTokens = budget, SinkTokens = sinks }), Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.Contains("expected"));

    [Test]
    public void Create_UnknownName_ListsTheNames()
        => Assert.That(() => EvictionPolicies.Create("lru", new PolicyOptions()), Throws.ArgumentException.With.Message.Contains("full, streaming"));

    private static void Insert(StreamingPolicy policy, HeadCache cache, int position)
    {
        int[] slots = new int[1];
        policy.ChooseSlots([cache], position, slots);
        cache.Write(Isa.Scalar, slots[0], new float[16], new float[16], position, position);
    }

    private static void AssertLive(HeadCache cache, int sinks, int budget, int newest)
    {
        int[] live = [.. cache.Positions[..cache.Count].ToArray().Order()];
        int window = Math.Min(budget - sinks, newest + 1 - sinks);
        int[] expected = [.. Enumerable.Range(0, Math.Min(sinks, newest + 1)), .. Enumerable.Range(newest + 1 - Math.Max(0, window), Math.Max(0, window))];
        Assert.That(live, Is.EqualTo(expected));
        Assert.That(cache.Positions[..Math.Min(sinks, cache.Count)].ToArray(), Is.EqualTo(Enumerable.Range(0, Math.Min(sinks, cache.Count))));
    }
}
