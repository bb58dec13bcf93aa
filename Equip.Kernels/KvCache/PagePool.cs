using Equip.Kernels.Numerics;

namespace Equip.Kernels.KvCache;

/// <summary>
/// Pages of K and V rows, shared by the heads, layers and sequences of one executor. A page is one block of native memory:
/// K rows <c>[pageTokens, headDim]</c>, then V rows <c>[pageTokens, headDim]</c>. One thread at a time.
/// </summary>
public sealed unsafe class PagePool : IDisposable
{
    private readonly Stack<nint> _free = new();
    private int _rented;

    /// <summary>Makes an empty pool.</summary>
    /// <param name="pageTokens">Rows of K (and of V) in a page.</param>
    /// <param name="headDim">Elements of a row.</param>
    /// <param name="type">f32, f16 or bf16.</param>
    /// <exception cref="ArgumentException">A value is out of its range.</exception>
    public PagePool(int pageTokens, int headDim, DataType type)
    {
        Require.InRange(pageTokens, 1, int.MaxValue);
        Require.InRange(headDim, 1, int.MaxValue);
        if (type == DataType.Q8) throw new ArgumentException("type: got q8, expected f32, f16 or bf16", nameof(type));
        PageTokens = pageTokens;
        HeadDim = headDim;
        Type = type;
        RowBytes = checked(headDim * type.Size());
    }

    /// <summary>Rows of K (and of V) in a page.</summary>
    public int PageTokens { get; }

    /// <summary>Elements of a row.</summary>
    public int HeadDim { get; }

    /// <summary>How rows are stored.</summary>
    public DataType Type { get; }

    /// <summary>Bytes of one K or V row.</summary>
    public int RowBytes { get; }

    /// <summary>Bytes of a page, K and V.</summary>
    public long PageBytes => 2L * PageTokens * RowBytes;

    /// <summary>Bytes of the pages in use.</summary>
    public long RentedBytes => _rented * PageBytes;

    /// <summary>Takes a page; contents undefined.</summary>
    /// <exception cref="OutOfMemoryException">The system has no more memory; nothing was taken.</exception>
    internal byte* Rent()
    {
        byte* page = _free.TryPop(out nint kept) ? (byte*)kept : Allocate();
        _rented++;
        return page;
    }

    /// <summary>Sees to it that the next <paramref name="pages"/> pages can be had.</summary>
    /// <exception cref="OutOfMemoryException">The system has no more memory; nothing was taken.</exception>
    internal void Reserve(int pages)
    {
        while (_free.Count < pages) _free.Push((nint)Allocate());
    }

    /// <summary>Gives a page back.</summary>
    internal void Return(byte* page)
    {
        _free.Push((nint)page);
        _rented--;
    }

    private byte* Allocate() => (byte*)System.Runtime.InteropServices.NativeMemory.AlignedAlloc((nuint)PageBytes, Memory.NativeBuffer.Alignment);

    /// <summary>Returns the free pages to the system.</summary>
    public void Trim()
    {
        while (_free.TryPop(out nint page)) System.Runtime.InteropServices.NativeMemory.AlignedFree((void*)page);
    }

    /// <summary>Frees the free pages; rented ones come back through their caches first.</summary>
    public void Dispose() => Trim();
}
