using System.Runtime.InteropServices;

namespace Equip.Tests.Fixtures;

/// <summary>
/// Memory that ends exactly at an inaccessible page, so that reading or writing one byte too far faults. The bytes before
/// the buffer are a canary.
/// </summary>
internal sealed unsafe partial class GuardedBuffer : IDisposable
{
    private const byte Canary = 0xA5;
    private readonly byte* _base;
    private readonly nuint _mapped;

    public GuardedBuffer(int bytes)
    {
        int page = Environment.SystemPageSize;
        nuint body = (nuint)((bytes + 64 + page - 1) / page * page);
        _mapped = body + (nuint)page;
        _base = (byte*)MemoryMap(null, _mapped, 3, 0x22, -1, 0);
        if (_base == (byte*)-1) throw new InvalidOperationException("mmap failed");
        if (MemoryProtect(_base + body, (nuint)page, 0) != 0) throw new InvalidOperationException("mprotect failed");
        Length = bytes;
        Pointer = _base + body - bytes;
        new Span<byte>(_base, (int)(body - (nuint)bytes)).Fill(Canary);
    }

    public byte* Pointer { get; }

    public int Length { get; }

    public Span<T> AsSpan<T>()
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(new Span<byte>(Pointer, Length));

    public void AssertCanary()
    {
        ReadOnlySpan<byte> before = new(_base, (int)(Pointer - _base));
        Assert.That(before.IndexOfAnyExcept(Canary), Is.EqualTo(-1), "bytes before the buffer were written");
    }

    public void Dispose() => _ = MemoryUnmap(_base, _mapped);

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial void* MemoryMap(void* address, nuint length, int protection, int flags, int file, long offset);

    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int MemoryProtect(void* address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int MemoryUnmap(void* address, nuint length);
}
