using Equip.Kernels.Memory;

namespace Equip.Tests.Memory;

/// <summary>Native memory, small and so large that large pages are asked for.</summary>
internal sealed unsafe class NativeBufferTests
{
    [TestCase(0L)]
    [TestCase(1L)]
    [TestCase((4L * HugePages.Bytes) - 1)]
    [TestCase(4L * HugePages.Bytes)]
    [TestCase((9L * HugePages.Bytes) + 5)]
    public void New_AnyLength_IsAlignedAndWritable(long bytes)
    {
        using NativeBuffer buffer = new(bytes, zeroed: true);
        int alignment = OperatingSystem.IsLinux() && bytes >= 4L * HugePages.Bytes ? HugePages.Bytes : NativeBuffer.Alignment;
        Assert.That((long)buffer.Pointer % alignment, Is.Zero);
        Assert.That(buffer.AsSpan<byte>().Length, Is.EqualTo(bytes));
        Assert.That(buffer.AsSpan<byte>().IndexOfAnyExcept((byte)0), Is.EqualTo(-1));
        buffer.AsSpan<byte>().Fill(0xA5);
        Assert.That(buffer.AsSpan<byte>().IndexOfAnyExcept((byte)0xA5), Is.EqualTo(-1));
    }

    [Test]
    public void Dispose_Twice_ThenPointerIsRefused()
    {
        NativeBuffer buffer = new(64);
        buffer.Dispose();
        buffer.Dispose();
        Assert.That(() => (nint)buffer.Pointer, Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(() => new NativeBuffer(-1), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }
}
