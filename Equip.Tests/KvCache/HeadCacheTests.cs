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
