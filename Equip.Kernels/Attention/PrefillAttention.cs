using System.Runtime.Intrinsics;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Attention;

/// <summary>What a prefill call reads: K and V rows of one layer in order of age, the past first and the new tokens last.</summary>
public readonly unsafe struct PrefillKeys
{
    /// <summary>K rows <c>[kvHeads, rows, headDim]</c>, heads <see cref="HeadStride"/> rows apart.</summary>
    public required void* Keys { get; init; }

    /// <summary>V rows, laid out as <see cref="Keys"/>.</summary>
    public required void* Values { get; init; }

    /// <summary>Rows from one KV head to the next, at least <see cref="Past"/> + new tokens.</summary>
    public required long HeadStride { get; init; }

    /// <summary>Rows before the first new token's row.</summary>
    public int Past { get; init; }

    /// <summary>0 to attend to everything before, or the most recent rows (own row included) that a token sees besides the sinks.</summary>
    public int Window { get; init; }

    /// <summary>The first rows, which every later token sees whatever the window, with its sink queries if it has any.</summary>
    public int Sinks { get; init; }
}

/// <summary>
/// Causal attention of many new tokens, tiled with an online softmax (arXiv 2205.14135); no tokens x tokens matrix is
/// stored. With a window, token i (row r = past + i) sees rows [0, sinks) and rows (r - window, r], each once. What a token
/// gets depends on the rows it sees alone, NaN and infinity included.
/// </summary>
public static unsafe class PrefillAttention
{
    /// <summary>Attends.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="shape">Heads, head dimension, cache type.</param>
    /// <param name="queries"><c>[tokens, heads, headDim]</c>, rotated.</param>
    /// <param name="sinkQueries">Empty, or <c>[tokens, heads, headDim]</c>: the queries to use on the sinks.</param>
    /// <param name="keys">K and V rows.</param>
    /// <param name="output"><c>[tokens, heads, headDim]</c>; may not overlap the queries.</param>
    /// <param name="tokens">New tokens.</param>
    /// <param name="columnSums">
    /// Empty, or <c>[kvHeads, keys.HeadStride]</c>, without window and sinks: to each row's element is added what the row received, its
    /// probabilities summed over the tokens and the group's heads (all of a KV head's add up to tokens * group). May not overlap the others.
    /// </param>
    /// <exception cref="ArgumentException">A length, count or pointer does not fit.</exception>
    public static void Attend(
        KernelContext context, in AttentionShape shape, ReadOnlySpan<float> queries, ReadOnlySpan<float> sinkQueries, in PrefillKeys keys, Span<float> output, int tokens, Span<float> columnSums = default)
    {
        PrefillCall call = PrefillCall.Create(context, shape, keys, tokens, readsValues: true);
        long elements = (long)tokens * shape.Heads * shape.HeadDim;
        Require.AtLeast(queries.Length, elements);
        if (!sinkQueries.IsEmpty) Require.AtLeast(sinkQueries.Length, elements);
        Require.AtLeast(output.Length, elements);
        if (output.Overlaps(queries) || output.Overlaps(sinkQueries)) throw new ArgumentException("output: overlaps the queries", nameof(output));
        if (!columnSums.IsEmpty)
        {
            PrefillCall.RequireUnwindowed(keys);
            Require.AtLeast(columnSums.Length, ((shape.KvHeads - 1) * keys.HeadStride) + keys.Past + tokens);
            if (columnSums.Overlaps(queries) || columnSums.Overlaps(output)) throw new ArgumentException("columnSums: overlaps the queries or the output", nameof(columnSums));
        }

        fixed (float* q = queries, s = sinkQueries, o = output, c = columnSums)
        {
            call.ColumnSums = c;
            call.ColumnStride = keys.HeadStride;
            call.Queries = q;
            call.SinkQueries = s;
            call.Output = o;
            Run(context, ref call);
        }
    }

    /// <summary>The column sums of <see cref="Attend"/> alone, for who has attended elsewhere.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="shape">Heads, head dimension, cache type.</param>
    /// <param name="queries"><c>[tokens, heads, headDim]</c>, rotated.</param>
    /// <param name="keys">K rows (values are not read), without window and sinks.</param>
    /// <param name="sums"><c>[kvHeads, past + tokens]</c>, overwritten; may not overlap the queries.</param>
    /// <param name="tokens">Queries.</param>
    /// <exception cref="ArgumentException">A length, count or pointer does not fit.</exception>
    public static void ColumnSums(KernelContext context, in AttentionShape shape, ReadOnlySpan<float> queries, in PrefillKeys keys, Span<float> sums, int tokens)
    {
        PrefillCall call = PrefillCall.Create(context, shape, keys, tokens, readsValues: false);
        PrefillCall.RequireUnwindowed(keys);
        Require.AtLeast(queries.Length, (long)tokens * shape.Heads * shape.HeadDim);
        Require.AtLeast(sums.Length, (long)shape.KvHeads * call.Rows);
        if (sums.Overlaps(queries)) throw new ArgumentException("sums: overlaps the queries", nameof(sums));
        sums[..(shape.KvHeads * call.Rows)].Clear();
        fixed (float* q = queries, s = sums)
        {
            call.Queries = q;
            call.ColumnSums = s;
            call.ColumnStride = call.Rows;
            if (tokens > 0) Run(context, ref call);
        }
    }

    private static void Run(KernelContext context, ref PrefillCall call)
    {
        if (context.Isa == Isa.Avx512) Run<Avx512Lanes, Vector512<float>, Vector512<uint>>(context, ref call);
        else if (context.Isa == Isa.Avx2) Run<Avx2Lanes, Vector256<float>, Vector256<uint>>(context, ref call);
        else Run<ScalarLanes, float, uint>(context, ref call);
    }

    private static void Run<TLanes, TFloats, TWords>(KernelContext context, ref PrefillCall call)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        call.CutLanes(context.Threads, pieces: 1);
        long tiles = context.Threads * PrefillTile<TLanes, TFloats, TWords>.Bytes(call), kept = 0, sums = 0;
        if (call.ColumnSums != null)
        {
            kept = context.Threads * KeptProbabilities.Bytes(call);
            sums = (long)call.Shape.KvHeads * call.Slices * call.Rows * sizeof(float);
        }

        call.Scratch = (byte*)context.SharedScratch(tiles + kept + sums);
        call.Kept = call.Scratch + tiles;
        call.SliceSums = (float*)(call.Kept + kept);
        PrefillJobs.Run(context, new Job<TLanes, TFloats, TWords> { Call = call }, (long)call.Shape.KvHeads * call.Slices);
        if (call.ColumnSums != null) PrefillJobs.Run(context, new PrefillColumnsJob { Call = call }, call.Shape.KvHeads);
    }

    /// <summary>A slice's tiles of lanes. Head by head, so that a worker's K and V stay near it; the long last tiles of a head first.</summary>
    private struct Job<TLanes, TFloats, TWords> : IPrefillJob
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        public PrefillCall Call;

        public void Execute(long item, int worker)
        {
            fixed (PrefillCall* call = &Call)
            {
                float* sums = call->ColumnSums == null ? null : call->SliceSums + (item * call->Rows);
                if (sums != null) new Span<float>(sums, call->Rows).Clear();
                for (int index = call->Tiles - 1 - (int)(item % call->Slices); index >= 0; index -= call->Slices)
                    Attend(call, new(call, worker, (int)(item / call->Slices), index * call->TileLanes), worker, sums);
            }
        }

        private static void Attend(PrefillCall* call, in PrefillTile<TLanes, TFloats, TWords> tile, int worker, float* sums)
        {
            int firstRow = tile.Row(0), end = tile.Row(tile.Lanes - 1) + 1, sinks = Math.Min(call->Sinks, end);
            KeptProbabilities kept = sums == null ? default : new(call, worker, end);
            if (call->Output != null) tile.ClearOutput();
            tile.Pack(call->Queries, tile.Queries);
            float* sinkQueries = tile.Queries;
            if (sinks > 0 && call->SinkQueries != null) tile.Pack(call->SinkQueries, sinkQueries = tile.SinkQueries);
            tile.Attend(0, sinks, sinkQueries, int.MaxValue, default);
            tile.Attend(Math.Max(sinks, firstRow - call->Window + 1), end, tile.Queries, call->Window, kept);
            if (call->Output != null) tile.StoreOutput(call->Output);
            if (sums != null) PrefillColumns<TLanes, TFloats, TWords>.Add(tile, call->TileLanes, kept, end, sums);
        }
    }
}
