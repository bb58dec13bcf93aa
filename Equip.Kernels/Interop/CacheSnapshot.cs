using System.Runtime.InteropServices;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Interop;

/// <summary>
/// A cache as bytes: a header, then head by head a count of pages, the policy's next slot, the live rows of every page, and page by page
/// positions, rotations, scores, offsets, K rows and V rows. Little-endian, for the same library version and options.
/// </summary>
internal static unsafe class CacheSnapshot
{
    private const ulong Magic = 0x31564b5049555145; // "EQUIPKV1"

    // Per live row, besides K and V: position, rotation, score, offset.
    private const int RowDescription = 16;

    /// <summary>Bytes of a snapshot taken now.</summary>
    public static long Bytes(NativeCache cache)
    {
        long bytes = sizeof(Header);
        for (int layer = 0; layer < cache.Rows.Layers; layer++)
            foreach (HeadCache head in cache.Layer(layer)) bytes += (2 + head.PageCount) * sizeof(int) + (head.Count * ((2L * cache.Shape.RowBytes) + RowDescription));
        return bytes;
    }

    /// <summary>Writes a snapshot to <see cref="Bytes"/> bytes.</summary>
    public static void Write(NativeCache cache, byte* buffer)
    {
        long bytes = Bytes(cache), rowBytes = cache.Shape.RowBytes;
        byte* to = buffer + sizeof(Header);
        for (int layer = 0; layer < cache.Rows.Layers; layer++)
        {
            foreach (HeadCache head in cache.Layer(layer))
            {
                Put(ref to, head.PageCount);
                Put(ref to, head.PendingVictim);
                for (int page = 0; page < head.PageCount; page++) Put(ref to, head.LiveInPage(page));
                for (int page = 0; page < head.PageCount; page++)
                {
                    int first = page * head.PageTokens, live = head.LiveInPage(page);
                    if (live == 0) continue;
                    Put(ref to, MemoryMarshal.AsBytes(head.Positions.Slice(first, live)));
                    Put(ref to, MemoryMarshal.AsBytes(head.Rotations.Slice(first, live)));
                    Put(ref to, MemoryMarshal.AsBytes(head.Scores.Slice(first, live)));
                    Put(ref to, MemoryMarshal.AsBytes(head.Offsets.Slice(first, live)));
                    Put(ref to, head.Key(first), live * rowBytes);
                    Put(ref to, head.Value(first), live * rowBytes);
                }
            }
        }

        Header header = Describe(cache);
        header.Bytes = bytes;
        header.Check = Checksum(buffer + sizeof(Header), bytes - sizeof(Header));
        MemoryMarshal.Write(new Span<byte>(buffer, sizeof(Header)), header);
    }

    /// <summary>Replaces the contents of a cache by a snapshot, or throws and leaves it as it was.</summary>
    public static void Read(NativeCache cache, byte* buffer, long size)
    {
        if (size < sizeof(Header)) Argument.Throw($"size: got {size} bytes, expected a snapshot");
        Header header = MemoryMarshal.Read<Header>(new ReadOnlySpan<byte>(buffer, sizeof(Header))), expected = Describe(cache);
        if (header.Magic != Magic) Argument.Throw("buffer: not a snapshot");
        if (header.Bytes != size) Argument.Throw($"size: got {size}, expected {header.Bytes} as the snapshot says");
        if (header with { Bytes = 0, Check = 0 } != expected) Argument.Throw("buffer: the snapshot of a cache with other options");
        if (header.Check != Checksum(buffer + sizeof(Header), size - sizeof(Header))) Argument.Throw("buffer: the checksum does not match");
        SequenceCache rows = cache.NewRows();
        try
        {
            byte* from = buffer + sizeof(Header), end = buffer + size;
            for (int layer = 0; layer < rows.Layers; layer++)
                foreach (HeadCache head in rows.Layer(layer)) ReadHead(cache, head, ref from, end);
            if (from != end) Argument.Throw($"buffer: {end - from} bytes are left over");
        }
        catch
        {
            rows.Dispose();
            throw;
        }

        cache.Replace(rows);
    }

    private static void ReadHead(NativeCache cache, HeadCache head, ref byte* from, byte* end)
    {
        int pages = Get(ref from, end), victim = Get(ref from, end), tokens = 0;
        if (pages < 0 || pages > (end - from) / sizeof(int)) Argument.Throw($"buffer: got {pages} pages of a head");
        int* live = (int*)Take(ref from, end, pages * (long)sizeof(int));
        for (int page = 0; page < pages; page++)
        {
            int rows = MemoryMarshal.Read<int>(new ReadOnlySpan<byte>(live + page, sizeof(int)));
            if (rows < 0 || rows > head.PageTokens) Argument.Throw($"buffer: got {rows} rows of a page");
            ReadPage(cache, head, page, rows, ref from, end);
            tokens += rows;
        }

        if (cache.Capacity > 0 && tokens > cache.Capacity) Argument.Throw($"buffer: got {tokens} tokens of a head, expected at most {cache.Capacity}");
        if (victim < -1 || victim >= head.Capacity) Argument.Throw($"buffer: got {victim} as a slot");
        head.PendingVictim = victim;
    }

    private static void ReadPage(NativeCache cache, HeadCache head, int page, int rows, ref byte* from, byte* end)
    {
        int first = page * head.PageTokens, rowBytes = cache.Shape.RowBytes;
        byte* descriptions = Take(ref from, end, (long)rows * RowDescription);
        byte* keys = Take(ref from, end, (long)rows * rowBytes), values = Take(ref from, end, (long)rows * rowBytes);
        for (int row = 0; row < rows; row++)
        {
            int position = Description(descriptions, rows, 0, row);
            if (position < 0) Argument.Throw($"buffer: got {position} as a position");
            head.WriteStored(first + row, keys + ((long)row * rowBytes), values + ((long)row * rowBytes), position, Description(descriptions, rows, 1, row));
            head.Scores[first + row] = BitConverter.Int32BitsToSingle(Description(descriptions, rows, 2, row));
            head.Offsets[first + row] = Description(descriptions, rows, 3, row);
        }

        if (rows > 0) return;

        // An empty page that is held: written once to take it, and declared dead.
        float[] zeros = new float[cache.Shape.HeadDim];
        head.Write(Dispatch.Isa.Scalar, first, zeros, zeros, 0, 0);
        head.ClearPage(page);
    }

    private static int Description(byte* descriptions, int rows, int field, int row)
        => MemoryMarshal.Read<int>(new ReadOnlySpan<byte>(descriptions + ((((long)field * rows) + row) * sizeof(int)), sizeof(int)));

    private static Header Describe(NativeCache cache) => new()
    {
        Magic = Magic,
        Abi = Exports.AbiVersionNumber,
        Layers = cache.Rows.Layers,
        Heads = cache.Shape.Heads,
        KvHeads = cache.Shape.KvHeads,
        HeadDim = cache.Shape.HeadDim,
        Type = (int)cache.Shape.CacheType,
        PageTokens = cache.PageTokens,
        Capacity = cache.Capacity,
        Positions = Checksum(cache.PositionName),
    };

    /// <summary>FNV-1a over 64-bit words, then bytes: finds what was torn or flipped, not what was forged.</summary>
    private static ulong Checksum(byte* data, long length)
    {
        const ulong prime = 0x100000001b3;
        ulong hash = 0xcbf29ce484222325;
        long i = 0;
        for (; i + sizeof(ulong) <= length; i += sizeof(ulong)) hash = System.Numerics.BitOperations.RotateLeft((hash ^ MemoryMarshal.Read<ulong>(new ReadOnlySpan<byte>(data + i, sizeof(ulong)))) * prime, 29);
        for (; i < length; i++) hash = (hash ^ data[i]) * prime;
        return hash;
    }

    private static ulong Checksum(string text)
    {
        fixed (char* characters = text) return Checksum((byte*)characters, text.Length * sizeof(char));
    }

    private static void Put(ref byte* to, int value)
    {
        MemoryMarshal.Write(new Span<byte>(to, sizeof(int)), value);
        to += sizeof(int);
    }

    private static void Put(ref byte* to, ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(new Span<byte>(to, bytes.Length));
        to += bytes.Length;
    }

    private static void Put(ref byte* to, void* source, long bytes)
    {
        Buffer.MemoryCopy(source, to, bytes, bytes);
        to += bytes;
    }

    private static int Get(ref byte* from, byte* end) => MemoryMarshal.Read<int>(new ReadOnlySpan<byte>(Take(ref from, end, sizeof(int)), sizeof(int)));

    private static byte* Take(ref byte* from, byte* end, long bytes)
    {
        if (bytes > end - from) Argument.Throw("buffer: the snapshot ends too early");
        byte* block = from;
        from += bytes;
        return block;
    }

    private record struct Header
    {
        public ulong Magic;
        public ulong Check;
        public long Bytes;
        public ulong Positions;
        public uint Abi;
        public int Layers;
        public int Heads;
        public int KvHeads;
        public int HeadDim;
        public int Type;
        public int PageTokens;
        public int Capacity;
    }
}
