using System.Runtime.InteropServices;
using Equip.Kernels.Memory;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.KvCache;

/// <summary>
/// Pages of K and V rows, shared by the heads, layers and sequences of one executor. A page is K rows <c>[pageTokens, headDim]</c> and,
/// <see cref="ValueOffset"/> bytes further, V rows <c>[pageTokens, headDim]</c>. Small pages come from slabs, all K rows of which precede its V
/// rows: pages that are rented one after the other mostly lie end to end, and attention reads them as one run. Baselines write the heads of a
/// layer on several threads, so renting and giving back may come from any of them; the rest is for one thread at a time.
/// </summary>
public sealed unsafe class PagePool : IDisposable
{
    // A slab's bytes, unless a page is larger: long enough for runs of thousands of tokens, short beside a cache that needs pages.
    private const long SlabBytes = 1024 * 1024;

    private readonly int _slabPages;
    private readonly List<nint> _slabs = [];

    // The next to be rented on top; of a new slab, and of a head given back whole, in ascending order.
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
        _slabPages = (int)Math.Max(1, SlabBytes / PageBytes);
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

    /// <summary>Bytes from a page's K row to the V row of the same token.</summary>
    internal long ValueOffset => _slabPages * PageBytes / 2;

    /// <summary>Bytes of the pages in use.</summary>
    public long RentedBytes => _rented * PageBytes;

    /// <summary>Takes a page; contents undefined.</summary>
    /// <returns>Its first K row.</returns>
    /// <exception cref="OutOfMemoryException">The system has no more memory; nothing was taken.</exception>
    internal byte* Rent()
    {
        lock (_free)
        {
            Reserve(1);
            _rented++;
            return (byte*)_free.Pop();
        }
    }

    /// <summary>Sees to it that the next <paramref name="pages"/> pages can be had.</summary>
    /// <exception cref="OutOfMemoryException">The system has no more memory; nothing was taken.</exception>
    internal void Reserve(int pages)
    {
        while (_free.Count < pages)
        {
            byte* slab = (byte*)NativeMemory.AlignedAlloc((nuint)(_slabPages * PageBytes), NativeBuffer.Alignment);
            _slabs.Add((nint)slab);
            for (int page = _slabPages - 1; page >= 0; page--) _free.Push((nint)slab + (nint)(page * (PageBytes / 2)));
        }
    }

    /// <summary>Gives a page back.</summary>
    internal void Return(byte* page)
    {
        lock (_free)
        {
            _free.Push((nint)page);
            _rented--;
        }
    }

    /// <summary>Returns slabs that hold no rented page to the system.</summary>
    public void Trim()
    {
        nint[] free = [.. _free.Order()], slabs = [.. _slabs.Order()];
        List<nint> stay = [];
        _free.Clear();
        _slabs.Clear();
        int next = 0;
        foreach (nint slab in slabs)
        {
            int first = next;
            while (next < free.Length && free[next] < slab + (nint)ValueOffset) next++;
            if (next - first == _slabPages)
            {
                NativeMemory.AlignedFree((void*)slab);
                continue;
            }

            _slabs.Add(slab);
            stay.AddRange(free.AsSpan(first..next));
        }

        for (int i = stay.Count - 1; i >= 0; i--) _free.Push(stay[i]);
    }

    /// <summary>Frees the free pages; rented ones come back through their caches first.</summary>
    public void Dispose() => Trim();
}
