using System.Runtime.CompilerServices;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;

namespace Equip.Tests.KvCache;

/// <summary>Two sequences that share a pool, through more than 10,000 evictions each.</summary>
internal sealed unsafe class PoolAccountingTests
{
    private const int HeadDim = 16, KvHeads = 2, Layers = 2, Budget = 48, Page = 16, Steps = 10_000 + Budget;

    private static IEnumerable<string> DecodePolicies => EvictionPolicies.All.Where(info => info.Lossy && info.ActsAtDecode).Select(info => info.Name);

    [Test]
    public void Decode_TenThousandEvictions_PoolHoldsTheLivePagesExactly([ValueSource(nameof(DecodePolicies))] string name)
    {
        using PagePool pool = new(Page, HeadDim, DataType.F16);
        SequenceCache[] caches = [new(pool, Layers, KvHeads), new(pool, Layers, KvHeads)];
        IEvictionPolicy[] policies = [.. caches.Select(_ => EvictionPolicies.Create(name, new PolicyOptions { BudgetTokens = Budget, PageTokens = Page }))];
        float[] rows = TestData.Random(KvHeads * HeadDim * 97), received = GC.AllocateArray<float>(KvHeads * 2 * Budget, pinned: true);
        Random random = new(1);
        int[] slots = new int[KvHeads];
        long peak = 0;
        for (int position = 0; position < Steps; position++)
        {
            for (int i = 0; i < caches.Length; i++)
            {
                for (int layer = 0; layer < Layers; layer++)
                {
                    ReadOnlySpan<HeadCache> heads = caches[i].Layer(layer);
                    policies[i].ChooseSlots(heads, position, slots);
                    for (int head = 0; head < KvHeads; head++)
                    {
                        ReadOnlySpan<float> row = rows.AsSpan((position * 7) % 90 * HeadDim, HeadDim);
                        heads[head].Write(Isa.Auto, slots[head], row, row, position, position);
                    }

                    if (!policies[i].ObservesAttention) continue;
                    for (int slot = 0; slot < received.Length; slot++) received[slot] = random.NextSingle();
                    policies[i].Observe(heads, position, new ColumnWeights((float*)Unsafe.AsPointer(ref received[0]), 2 * Budget));
                }
            }

            peak = Math.Max(peak, pool.RentedBytes);
            if (position % 100 == 0 || position >= Steps - Page) AssertExact(pool, caches, policies[0].CapacityTokens);
        }

        Assert.That(peak, Is.LessThanOrEqualTo(caches.Length * Layers * KvHeads * ((Budget / Page) + 1) * pool.PageBytes), "budget and a page a head");
        foreach (SequenceCache cache in caches) cache.Dispose();
        Assert.That(pool.RentedBytes, Is.Zero);
    }

    private static void AssertExact(PagePool pool, SequenceCache[] caches, int capacity)
    {
        int live = 0;
        foreach (SequenceCache cache in caches)
        {
            for (int layer = 0; layer < Layers; layer++)
            {
                foreach (HeadCache head in cache.Layer(layer))
                {
                    int rows = 0;
                    for (int page = 0; page < head.PageCount; page++)
                    {
                        rows += head.LiveInPage(page);
                        live += head.LiveInPage(page) > 0 ? 1 : 0;
                    }

                    Assert.That(head.Count, Is.EqualTo(rows).And.LessThanOrEqualTo(capacity));
                }
            }
        }

        Assert.That(pool.RentedBytes, Is.EqualTo(live * pool.PageBytes));
    }

    // The baselines write the heads of a layer on several threads.
    [Test]
    public void Write_HeadsOnSeveralThreads_NoTwoShareAPage()
    {
        using PagePool pool = new(4, 16, DataType.F32);
        HeadCache[] heads = [.. Enumerable.Range(0, 64).Select(_ => new HeadCache(pool))];
        float[] row = new float[16];
        Parallel.For(0, heads.Length, new ParallelOptions { MaxDegreeOfParallelism = 8 }, head =>
        {
            for (int token = 0; token < 40; token++) heads[head].Write(Isa.Scalar, heads[head].NextFreeSlot(), row, row, token, token);
        });
        nint[] pages = [.. heads.SelectMany(head => Enumerable.Range(0, 10).Select(page => Row(head, page * 4)))];
        Assert.That(pages, Is.Unique);
        Assert.That(pool.RentedBytes, Is.EqualTo(640 * pool.PageBytes));
        foreach (HeadCache head in heads) head.Dispose();
        Assert.That(pool.RentedBytes, Is.Zero);

        static unsafe nint Row(HeadCache head, int slot) => (nint)head.Key(slot);
    }
}
