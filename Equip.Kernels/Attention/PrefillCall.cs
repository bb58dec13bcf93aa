using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Attention;

/// <summary>
/// One call as its jobs see it. The lanes of a KV head are its queries: lane i is query head i % group of token i / group,
/// so that the group's heads share every K and V load and the rows of neighbouring lanes are close. Lanes are cut into tiles.
/// </summary>
internal unsafe struct PrefillCall
{
    /// <summary>
    /// Keys that are scored before the softmax state moves on: enough that rescaling the outputs does not show, few enough that
    /// a block's scores stay in the first-level cache.
    /// </summary>
    public const int KeyTile = 64;

    // A multiple of the blocks of all paths (48, 24, 3 lanes). Wide tiles share a K/V tile among more queries.
    public const int LargestTile = 192;

    private const int SmallestTile = 48;

    // With fewer tiles than this a thread, one more or less tile would show.
    private const int TilesPerThread = 8;

    // Leaves room to step past the end in 32 bits.
    private const int MaxRows = 1 << 30;

    public Isa Isa;
    public AttentionShape Shape;
    public float* Queries;
    public float* SinkQueries;

    /// <summary>Null if the column sums are all that is wanted; values are not read then.</summary>
    public float* Output;
    public byte* Keys;
    public byte* Values;
    public long HeadStride;
    public int Past;
    public int Tokens;
    public int Sinks;

    /// <summary>Rows a lane sees besides the sinks, its own included; <see cref="int.MaxValue"/> for all.</summary>
    public int Window;

    public int TileLanes;
    public int Tiles;
    public byte* Scratch;

    /// <summary>What a KV head's tiles are dealt out to, in turn; each slice is one job.</summary>
    public int Slices;

    /// <summary>Null, or <c>[kvHeads, ColumnStride]</c>.</summary>
    public float* ColumnSums;
    public long ColumnStride;

    /// <summary><c>[kvHeads, Slices, Rows]</c>.</summary>
    public float* SliceSums;

    /// <summary>Each worker's room for <see cref="KeptProbabilities"/>.</summary>
    public byte* Kept;

    public readonly int Lanes => Tokens * Shape.Group;

    public readonly int Rows => Past + Tokens;

    /// <summary>Checks what the public entries share and fills in all but the queries and the output.</summary>
    public static PrefillCall Create(KernelContext context, in AttentionShape shape, in PrefillKeys keys, int tokens, bool readsValues)
    {
        ArgumentNullException.ThrowIfNull(context);
        Require.InRange(shape.KvHeads, 1, int.MaxValue, "shape");
        Require.InRange(tokens, 0, MaxRows);
        Require.InRange((long)tokens * shape.Heads, 0, int.MaxValue, "tokens * heads");
        Require.InRange(keys.Past, 0, MaxRows - tokens);
        Require.InRange(keys.Window, 0, int.MaxValue);
        Require.InRange(keys.Sinks, 0, int.MaxValue);
        Require.InRange(keys.HeadStride, (long)keys.Past + tokens, long.MaxValue / shape.RowBytes / shape.KvHeads);
        if (tokens > 0) Require.NotNull(keys.Keys, "keys.Keys");
        if (tokens > 0 && readsValues) Require.NotNull(keys.Values, "keys.Values");

        return new PrefillCall
        {
            Isa = context.Isa,
            Shape = shape,
            Keys = (byte*)keys.Keys,
            Values = (byte*)keys.Values,
            HeadStride = keys.HeadStride,
            Past = keys.Past,
            Tokens = tokens,
            Sinks = keys.Sinks,
            Window = keys.Window == 0 ? int.MaxValue : keys.Window,
        };
    }

    /// <summary>For what is defined without a window only.</summary>
    public static void RequireUnwindowed(in PrefillKeys keys)
    {
        Require.InRange(keys.Window, 0, 0);
        Require.InRange(keys.Sinks, 0, 0);
    }

    /// <summary>Cuts the lanes into tiles: the same for every call of this shape on as many threads.</summary>
    /// <param name="threads">Threads.</param>
    /// <param name="pieces">What a tile's work is cut into besides.</param>
    public void CutLanes(int threads, int pieces)
    {
        TileLanes = LargestTile;
        while (TileLanes > SmallestTile && (long)Shape.KvHeads * Lanes * pieces < (long)TileLanes * threads * TilesPerThread) TileLanes /= 2;
        Tiles = (Lanes + TileLanes - 1) / TileLanes;

        // A slice has its own sums, so with sums no more than what the threads need.
        Slices = ColumnSums == null ? Tiles : Math.Min(Tiles, ((threads * TilesPerThread) + Shape.KvHeads - 1) / Shape.KvHeads);
    }
}
