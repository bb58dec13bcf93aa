using Equip.Kernels.Memory;
using Equip.Model.Pruning;

namespace Equip.Tests.Pruning;

internal sealed class BufferPoolTests
{
    [Test]
    public void Rent_OfWhatCameBack_IsTheSmallestThatFits()
    {
        using BufferPool pool = new();
        NativeBuffer small = pool.Rent(100), large = pool.Rent(150);
        pool.Return(large);
        pool.Return(small);
        Assert.That(pool.Rent(90), Is.SameAs(small));
        Assert.That(pool.Rent(90), Is.SameAs(large));
    }

    [Test]
    public void Rent_NothingFits_ReplacesWhatIsNearest([Values(10, 400)] int bytes)
    {
        using BufferPool pool = new();
        NativeBuffer small = pool.Rent(30), large = pool.Rent(150);
        pool.Return(large);
        pool.Return(small);
        using NativeBuffer rented = pool.Rent(bytes);
        Assert.That(rented.Length, Is.EqualTo(bytes));
        Assert.That(() => Read(bytes == 10 ? small : large), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(pool.Rent(bytes == 10 ? 150 : 30), Is.SameAs(bytes == 10 ? large : small));
    }

    [Test]
    public void Dispose_FreesWhatIsIdleAndWhatComesBackLater()
    {
        BufferPool pool = new();
        NativeBuffer idle = pool.Rent(64), lent = pool.Rent(64);
        pool.Return(idle);
        pool.Dispose();
        Assert.That(() => Read(idle), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => Read(lent), Throws.Nothing);
        pool.Return(lent);
        Assert.That(() => Read(lent), Throws.TypeOf<ObjectDisposedException>());
    }

    private static int Read(NativeBuffer buffer) => buffer.AsSpan<byte>().Length;
}
