using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;

namespace Equip.Tests.KvCache;

internal sealed unsafe class HeadCacheTests
{
    private const int HeadDim = 16;

    [Test]
    public void Write_OverwritesOneSlot_OthersUntouched([Values(1, 3, 8)] int pageTokens)
    {
        using PagePool pool = new(pageTokens, HeadDim, DataType.F32);
        HeadCache cache = Filled(pool, 8);
        Write(cache, 5, 99);
        for (int slot = 0; slot < 8; slot++) AssertToken(cache, slot, slot == 5 ? 99 : slot);
        Assert.That(cache.Count, Is.EqualTo(8));
    }

    [Test]
    public void Write_BeyondFirstFreeRow_ThrowsAndChangesNothing()
    {
        using PagePool pool = new(4, HeadDim, DataType.F32);
        HeadCache cache = Filled(pool, 5);
        Assert.That(() => Write(cache, 6, 1), Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.Contains("slot: got 6"));
        Assert.That(() => Write(cache, -1, 1), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => cache.Write(Isa.Scalar, 5, new float[3], new float[HeadDim], 0, 0), Throws.ArgumentException);
        Assert.That(cache.Count, Is.EqualTo(5));
        for (int slot = 0; slot < 5; slot++) AssertToken(cache, slot, slot);
    }

    [Test]
    public void Compact_AscendingKeep_ClosesHolesAndReturnsPages()
    {
        using PagePool pool = new(4, HeadDim, DataType.F32);
        HeadCache cache = Filled(pool, 19);
        Assert.That(pool.RentedBytes, Is.EqualTo(5 * pool.PageBytes));
        int[] keep = [0, 3, 4, 9, 17, 18];
        cache.Compact(keep);
        Assert.That(cache.Count, Is.EqualTo(6));
        Assert.That(cache.Bytes, Is.EqualTo(2 * pool.PageBytes));
        Assert.That(pool.RentedBytes, Is.EqualTo(2 * pool.PageBytes));
        for (int row = 0; row < keep.Length; row++) AssertToken(cache, row, keep[row]);
    }

    [TestCase(new[] { 3, 2 })]
    [TestCase(new[] { 1, 1 })]
    [TestCase(new[] { 7 })]
    [TestCase(new[] { -1 })]
    public void Compact_NotAscendingOrNotLive_ThrowsAndChangesNothing(int[] keep)
    {
        using PagePool pool = new(4, HeadDim, DataType.F32);
        HeadCache cache = Filled(pool, 7);
        Assert.That(() => cache.Compact(keep), Throws.InstanceOf<ArgumentException>());
        for (int slot = 0; slot < 7; slot++) AssertToken(cache, slot, slot);
    }

    [Test]
    public void ClearPage_ThenWrite_RefillsThePageInPlace()
    {
        using PagePool pool = new(4, HeadDim, DataType.F32);
        HeadCache cache = Filled(pool, 12);
        void* row = cache.Key(4);
        cache.ClearPage(1);
        Assert.That(cache.Count, Is.EqualTo(8));
        Assert.That(cache.NextFreeSlot(), Is.EqualTo(4));
        Write(cache, 4, 50);
        Assert.That(cache.NextFreeSlot(), Is.EqualTo(5));
        Assert.That((nint)cache.Key(4), Is.EqualTo((nint)row));
        AssertToken(cache, 4, 50);
        Assert.That(() => Write(cache, 6, 1), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Clear_ReturnsEveryPage()
    {
        using PagePool pool = new(4, HeadDim, DataType.BF16);
        HeadCache cache = Filled(pool, 9);
        cache.Clear();
        Assert.That(pool.RentedBytes, Is.Zero);
        Assert.That(cache.Count, Is.Zero);
        Write(cache, 0, 3);
        Assert.That(cache.Count, Is.EqualTo(1));
    }

    [Test]
    public void Trim_SlabsWithRentedPages_KeepThem()
    {
        using PagePool pool = new(4, HeadDim, DataType.F32);
        using HeadCache kept = Filled(pool, 9);
        using (HeadCache large = Filled(pool, 4 * 4096)) Assert.That(pool.RentedBytes, Is.EqualTo((3 + 4096) * pool.PageBytes));
        pool.Trim();
        Assert.That(pool.RentedBytes, Is.EqualTo(3 * pool.PageBytes));
        for (int slot = 0; slot < 9; slot++) AssertToken(kept, slot, slot);
        using HeadCache again = Filled(pool, 4 * 3000);
        for (int slot = 0; slot < 9; slot++) AssertToken(kept, slot, slot);
        for (int slot = 0; slot < again.Count; slot++) AssertToken(again, slot, slot);
    }

    [Test]
    public void WriteRuns_PagesEndToEnd_AreOneRun([Values(0, 4)] int sinks)
    {
        using PagePool pool = new(8, HeadDim, DataType.F32);
        using HeadCache head = Filled(pool, 61);
        CacheStrategy strategy = sinks == 0 ? new OriginalPositions() : new TwoQueryPositions(sinks, 61);
        AssertCovers(head, strategy, sinks == 0 ? 1 : 2);
        // A page that is not full ends a run, and so does one that lies elsewhere.
        head.ClearPage(3);
        Write(head, 24, 100);
        AssertCovers(head, strategy, sinks == 0 ? 2 : 3);
        using HeadCache other = Filled(pool, 1);
        for (int slot = 25; slot < 32; slot++) Write(head, slot, slot);
        for (int slot = 61; slot < 72; slot++) Write(head, slot, slot);
        AssertCovers(head, strategy, sinks == 0 ? 2 : 3);
    }

    [Test]
    public void WriteRuns_EmptyPageBetweenNeighbours_KeepsSlotsApart()
    {
        using PagePool pool = new(8, HeadDim, DataType.F32);
        using HeadCache first = Filled(pool, 1), second = Filled(pool, 1);
        first.Clear();
        second.Clear();
        using HeadCache head = Filled(pool, 24);
        Assert.That((int)((nint)head.Key(16) - (nint)head.Key(0)), Is.EqualTo(8 * head.RowBytes), "pages 0 and 2 are neighbours");
        head.ClearPage(1);
        AssertCovers(head, new OriginalPositions(), 2);
    }

    // Every live row once, by address, with the weights of its own slot.
    private static void AssertCovers(HeadCache head, CacheStrategy strategy, int expected)
    {
        AttentionRun[] runs = new AttentionRun[strategy.MaxRuns(head)];
        float* weights = (float*)4096;
        int count = strategy.WriteRuns(head, 1000, new NoQueries(), weights, runs);
        Assert.That(count, Is.EqualTo(expected));
        List<(nint, nint, nint)> rows = [], live = [];
        foreach (AttentionRun run in runs.AsSpan(0, count))
            for (int i = 0; i < run.Tokens; i++) rows.Add(((nint)run.Keys + (i * head.RowBytes), (nint)run.Values + (i * head.RowBytes), (nint)(run.ColumnWeights + i)));
        for (int slot = 0; slot < head.Capacity; slot++)
            if (slot % head.PageTokens < head.LiveInPage(slot / head.PageTokens)) live.Add(((nint)head.Key(slot), (nint)head.Value(slot), (nint)(weights + slot)));
        Assert.That(rows, Is.EqualTo(live));
    }

    private sealed class NoQueries : IRotatedQueries
    {
        public float* At(int rotation) => (float*)64;
    }

    private static HeadCache Filled(PagePool pool, int tokens)
    {
        HeadCache cache = new(pool);
        for (int token = 0; token < tokens; token++) Write(cache, cache.NextFreeSlot(), token);
        return cache;
    }

    private static void Write(HeadCache cache, int slot, int token)
        => cache.Write(Isa.Scalar, slot, TestData.Random(HeadDim, token), TestData.Random(HeadDim, token + 1000), token, token * 2);

    private static void AssertToken(HeadCache cache, int slot, int token)
    {
        Assert.That(new ReadOnlySpan<float>(cache.Key(slot), HeadDim).ToArray(), Is.EqualTo(TestData.Random(HeadDim, token)));
        Assert.That(new ReadOnlySpan<float>(cache.Value(slot), HeadDim).ToArray(), Is.EqualTo(TestData.Random(HeadDim, token + 1000)));
        Assert.That(cache.Positions[slot], Is.EqualTo(token));
        Assert.That(cache.Rotations[slot], Is.EqualTo(token * 2));
    }
}
