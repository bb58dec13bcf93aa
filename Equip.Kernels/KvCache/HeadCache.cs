using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Memory;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.KvCache;

/// <summary>
/// The cache of one KV head in one layer of one sequence. A slot is a physical row: slot s lies in row s % pageTokens of page
/// s / pageTokens. Live rows of a page are its first ones; the order of slots carries no meaning, a token's place in the text
/// is its <see cref="Positions"/> entry. <see cref="Write"/> is the only way in.
/// </summary>
public sealed unsafe class HeadCache : IDisposable
{
    private const int CacheLine = 64;

    private readonly PagePool _pool;
    private nint[] _pages = [];
    private int[] _live = [];
    private int _pageCount;
    private int[] _positions = [];
    private int[] _rotations = [];
    private float[] _scores = [];
    private int[] _offsets = [];
    private NativeBuffer? _originalKeys;

    /// <summary>Makes an empty cache over a pool.</summary>
    public HeadCache(PagePool pool)
    {
        ArgumentNullException.ThrowIfNull(pool);
        _pool = pool;
    }

    /// <summary>Live rows.</summary>
    public int Count { get; private set; }

    /// <summary>Pages held.</summary>
    public int PageCount => _pageCount;

    /// <summary>Rows of the pages held: slots are [0, Capacity).</summary>
    public int Capacity => _pageCount * _pool.PageTokens;

    /// <summary>Bytes of the pages held, K and V, and of the original keys that some strategies keep besides.</summary>
    public long Bytes => (_pageCount * _pool.PageBytes) + (_originalKeys?.Length ?? 0);

    /// <summary>Bytes of a K or V row.</summary>
    internal int RowBytes => _pool.RowBytes;

    /// <summary>Elements of a row.</summary>
    internal int HeadDim => _pool.HeadDim;

    /// <summary>How rows are stored.</summary>
    internal DataType Type => _pool.Type;

    /// <summary>Tokens of a page.</summary>
    public int PageTokens => _pool.PageTokens;

    /// <summary>
    /// The slot that the policy has decided to overwrite next, or -1: policies that attend before they evict choose it one
    /// step ahead.
    /// </summary>
    public int PendingVictim { get; set; } = -1;

    /// <summary>Per slot: the position in the text of the token it holds.</summary>
    public ReadOnlySpan<int> Positions => _positions.AsSpan(0, Capacity);

    /// <summary>Per slot: the index by which its key has been rotated, or is to be rotated on reading.</summary>
    public Span<int> Rotations => _rotations.AsSpan(0, Capacity);

    /// <summary><see cref="Rotations"/> as kernels take them, until the next page is added.</summary>
    internal int* RotationsPointer => (int*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_rotations));

    /// <summary>Per slot: a score that belongs to the policy; 0 after a write.</summary>
    public Span<float> Scores => _scores.AsSpan(0, Capacity);

    /// <summary>
    /// Per slot: how many younger tokens have been evicted since it was written; kept by the strategies for cache positions
    /// (with original positions it stays 0).
    /// </summary>
    public Span<int> Offsets => _offsets.AsSpan(0, Capacity);

    /// <summary>Live rows of page <paramref name="page"/>.</summary>
    public int LiveInPage(int page)
    {
        Require.InRange(page, 0, _pageCount - 1);
        return _live[page];
    }

    /// <summary>The K row of a slot.</summary>
    public void* Key(int slot)
    {
        Require.InRange(slot, 0, Capacity - 1);
        return (byte*)_pages[slot / PageTokens] + ((long)(slot % PageTokens) * _pool.RowBytes);
    }

    /// <summary>The V row of a slot.</summary>
    public void* Value(int slot)
    {
        Require.InRange(slot, 0, Capacity - 1);
        return (byte*)_pages[slot / PageTokens] + ((long)(slot % PageTokens) * _pool.RowBytes) + _pool.ValueOffset;
    }

    /// <summary>Bytes from a K row to the V row of the same slot.</summary>
    internal long ValueOffset => _pool.ValueOffset;

    /// <summary>Every page's first K row.</summary>
    internal ReadOnlySpan<nint> Pages => _pages.AsSpan(0, _pageCount);

    /// <summary>Every page's live rows.</summary>
    internal ReadOnlySpan<int> LiveInPages => _live.AsSpan(0, _pageCount);

    /// <summary>The first slot that holds no live row: where an insertion without eviction goes. A full cache grows by a page on writing there.</summary>
    public int NextFreeSlot()
    {
        if (Count == Capacity) return Capacity;
        int page = _pageCount - 1;
        if (_live[page] == PageTokens)
            for (page = 0; _live[page] == PageTokens; page++)
            {
            }

        return (page * PageTokens) + _live[page];
    }

    /// <summary>
    /// The K row of a slot as it was first written, from a copy of the first <paramref name="rows"/> keys that the first call
    /// makes: strategies that rotate stored keys always start from it, so that no rounded key is rotated a second time.
    /// </summary>
    internal void* OriginalKey(int slot, int rows)
    {
        Require.InRange(slot, 0, rows - 1);
        if (_originalKeys is null)
        {
            _originalKeys = new NativeBuffer((long)rows * _pool.RowBytes);
            for (int row = 0; row < Math.Min(rows, Capacity); row++) SaveOriginalKey(row);
        }

        return (byte*)_originalKeys.Pointer + ((long)slot * _pool.RowBytes);
    }

    /// <summary>Copies a newly written key to the originals, if there are any.</summary>
    internal void SaveOriginalKey(int slot)
    {
        if (_originalKeys is null) return;
        Buffer.MemoryCopy(Key(slot), (byte*)_originalKeys.Pointer + ((long)slot * _pool.RowBytes), _pool.RowBytes, _pool.RowBytes);
    }

    /// <summary>
    /// Puts a token into a slot: over the token that lived there, or into the first free row of a page (a slot equal to
    /// <see cref="Capacity"/> takes a new page). One K row and one V row are written; nothing else moves.
    /// </summary>
    /// <param name="isa">The path that converts to the stored type.</param>
    /// <param name="slot">Where.</param>
    /// <param name="key"><c>[headDim]</c>, rotated by <paramref name="rotation"/>.</param>
    /// <param name="value"><c>[headDim]</c>.</param>
    /// <param name="position">The token's place in the text.</param>
    /// <param name="rotation">The index by which the key was rotated.</param>
    /// <exception cref="ArgumentException">The slot is beyond the first free row of its page, or a row is too short; the cache is unchanged.</exception>
    public void Write(Isa isa, int slot, ReadOnlySpan<float> key, ReadOnlySpan<float> value, int position, int rotation)
    {
        Require.AtLeast(key.Length, _pool.HeadDim);
        Require.AtLeast(value.Length, _pool.HeadDim);
        Claim(slot);
        Conversion.Narrow(isa, key[.._pool.HeadDim], Key(slot), _pool.Type);
        Conversion.Narrow(isa, value[.._pool.HeadDim], Value(slot), _pool.Type);
        Describe(slot, position, rotation);
    }

    /// <summary>Fetches into cache what <see cref="Write"/> is about to write over, if the slot is there; otherwise nothing.</summary>
    internal void Fetch(int slot)
    {
        if (!Sse.IsSupported || (uint)slot >= (uint)Capacity) return;
        byte* key = (byte*)_pages[slot / PageTokens] + ((long)(slot % PageTokens) * _pool.RowBytes), value = key + _pool.ValueOffset;
        for (int offset = 0; offset < _pool.RowBytes; offset += CacheLine)
        {
            Sse.Prefetch0(key + offset);
            Sse.Prefetch0(value + offset);
        }

        Sse.Prefetch0(Unsafe.AsPointer(ref _positions[slot]));
        Sse.Prefetch0(Unsafe.AsPointer(ref _rotations[slot]));
        Sse.Prefetch0(Unsafe.AsPointer(ref _scores[slot]));
        Sse.Prefetch0(Unsafe.AsPointer(ref _offsets[slot]));
    }

    /// <summary>As <see cref="Write"/>, for rows that are already in the stored type (a prompt's K and V).</summary>
    /// <exception cref="ArgumentException">The slot is beyond the first free row of its page, or a pointer is null; the cache is unchanged.</exception>
    public void WriteStored(int slot, void* key, void* value, int position, int rotation)
    {
        Require.NotNull(key, nameof(key));
        Require.NotNull(value, nameof(value));
        Claim(slot);
        Buffer.MemoryCopy(key, Key(slot), _pool.RowBytes, _pool.RowBytes);
        Buffer.MemoryCopy(value, Value(slot), _pool.RowBytes, _pool.RowBytes);
        Describe(slot, position, rotation);
    }

    /// <summary>
    /// Keeps some slots and closes the holes in place; pages that become empty go back to the pool.
    /// </summary>
    /// <param name="keep">Live slots, strictly ascending; row i of the result is slot keep[i].</param>
    /// <exception cref="ArgumentException">The list is not ascending or names a slot that is not live; the cache is unchanged.</exception>
    public void Compact(ReadOnlySpan<int> keep)
    {
        for (int i = 0; i < keep.Length; i++)
        {
            Require.InRange(keep[i], i == 0 ? 0 : keep[i - 1] + 1, Capacity - 1, nameof(keep));
            if (keep[i] % PageTokens >= _live[keep[i] / PageTokens]) throw new ArgumentException($"keep: slot {keep[i]} holds no live row", nameof(keep));
        }

        for (int to = 0; to < keep.Length; to++)
        {
            int from = keep[to];
            if (from == to) continue;
            Buffer.MemoryCopy(Key(from), Key(to), _pool.RowBytes, _pool.RowBytes);
            Buffer.MemoryCopy(Value(from), Value(to), _pool.RowBytes, _pool.RowBytes);
            _positions[to] = _positions[from];
            _rotations[to] = _rotations[from];
            _scores[to] = _scores[from];
            _offsets[to] = _offsets[from];
        }

        Truncate(keep.Length);
    }

    /// <summary>
    /// Removes a live slot by moving every row behind it down by one: what a cache costs that keeps its rows in order of age.
    /// The caller moves K and V; this moves what is known of the rows. One page only.
    /// </summary>
    internal void ShiftDescriptions(int slot)
    {
        int moved = Count - slot - 1;
        _positions.AsSpan(slot + 1, moved).CopyTo(_positions.AsSpan(slot));
        _rotations.AsSpan(slot + 1, moved).CopyTo(_rotations.AsSpan(slot));
        _scores.AsSpan(slot + 1, moved).CopyTo(_scores.AsSpan(slot));
        _offsets.AsSpan(slot + 1, moved).CopyTo(_offsets.AsSpan(slot));
        _live[0]--;
        Count--;

        // The rows are in order of age again: whatever slot a policy had chosen, it now chooses anew.
        PendingVictim = -1;
    }

    /// <summary>Declares a whole page dead; its rows are the next to be written. Nothing is copied.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such page.</exception>
    public void ClearPage(int page)
    {
        Require.InRange(page, 0, _pageCount - 1);
        Count -= _live[page];
        _live[page] = 0;
    }

    /// <summary>Forgets every token and returns the pages.</summary>
    public void Clear() => Truncate(0);

    /// <summary>Returns the pages.</summary>
    public void Dispose() => Clear();

    /// <summary>Rows [0, <paramref name="rows"/>) stay; pages beyond go back to the pool.</summary>
    private void Truncate(int rows)
    {
        int pages = (rows + PageTokens - 1) / PageTokens;
        // The last one first, so that they are rented again in this order.
        for (int page = _pageCount - 1; page >= pages; page--) _pool.Return((byte*)_pages[page]);
        _pageCount = pages;
        for (int page = 0; page < pages; page++) _live[page] = Math.Min(PageTokens, rows - (page * PageTokens));
        Count = rows;
        PendingVictim = -1;
        _originalKeys?.Dispose();
        _originalKeys = null;
    }

    private void Describe(int slot, int position, int rotation)
    {
        _positions[slot] = position;
        _rotations[slot] = rotation;
        _scores[slot] = 0;
        _offsets[slot] = 0;
    }

    /// <summary>Makes a slot live, taking a page if it is the first slot of the next one.</summary>
    private void Claim(int slot)
    {
        int page = slot / PageTokens, row = slot % PageTokens;
        if (slot < 0 || slot > Capacity || (page < _pageCount && row > _live[page]))
            throw new ArgumentOutOfRangeException(nameof(slot), slot, $"slot: got {slot}, expected a live slot or the first free row of a page (capacity {Capacity})");
        if (page == _pageCount) AddPage();
        if (row < _live[page]) return;
        _live[page]++;
        Count++;
    }

    private static void GrowPinned(ref int[] array, int length)
    {
        int[] grown = GC.AllocateUninitializedArray<int>(length, pinned: true);
        array.CopyTo(grown, 0);
        array = grown;
    }

    private void AddPage()
    {
        if (_pageCount == _pages.Length)
        {
            int pages = Math.Max(1, _pageCount * 2);
            Array.Resize(ref _pages, pages);
            Array.Resize(ref _live, pages);
            Array.Resize(ref _positions, checked(pages * PageTokens));
            GrowPinned(ref _rotations, pages * PageTokens);
            Array.Resize(ref _scores, pages * PageTokens);
            Array.Resize(ref _offsets, pages * PageTokens);
        }

        _pages[_pageCount] = (nint)_pool.Rent();
        _live[_pageCount] = 0;
        _pageCount++;
    }
}
