using System.Runtime.Intrinsics;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Attention;

/// <summary>
/// How much attention each key gets from a whole prompt: the column sums of the causal softmax, summed over the group, which
/// H2O (arXiv 2306.14048) starts from. Scores are computed twice, once for each query's maximum and sum and once for the
/// probabilities, and never stored.
/// </summary>
public static unsafe class PrefillColumnSums
{
    // Keys of one chunk: enough that laying out the queries does not show.
    private const int ChunkKeys = 4 * PrefillCall.KeyTile;

    /// <summary>Computes the sums.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="shape">Heads, head dimension, cache type.</param>
    /// <param name="queries"><c>[tokens, heads, headDim]</c>, rotated.</param>
    /// <param name="keys">K rows (values are not read), without window and sinks.</param>
    /// <param name="sums"><c>[kvHeads, past + tokens]</c>; may not overlap the queries. All of a KV head's add up to tokens * group.</param>
    /// <param name="tokens">Queries.</param>
    /// <exception cref="ArgumentException">A length, count or pointer does not fit.</exception>
    public static void Compute(KernelContext context, in AttentionShape shape, ReadOnlySpan<float> queries, in PrefillKeys keys, Span<float> sums, int tokens)
    {
        PrefillCall call = PrefillCall.Create(context, shape, keys, tokens, readsValues: false);
        PrefillCall.RequireUnwindowed(keys);
        Require.AtLeast(queries.Length, (long)tokens * shape.Heads * shape.HeadDim);
        Require.AtLeast(sums.Length, (long)shape.KvHeads * (keys.Past + tokens));
        if (sums.Overlaps(queries)) throw new ArgumentException("sums: overlaps the queries", nameof(sums));
        fixed (float* q = queries, s = sums)
        {
            call.Queries = q;
            call.Output = s;
            if (context.Isa == Isa.Avx512) Run<Avx512Lanes, Vector512<float>, Vector512<uint>>(context, ref call);
            else if (context.Isa == Isa.Avx2) Run<Avx2Lanes, Vector256<float>, Vector256<uint>>(context, ref call);
            else Run<ScalarLanes, float, uint>(context, ref call);
        }
    }

    private static void Run<TLanes, TFloats, TWords>(KernelContext context, ref PrefillCall call)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        call.CutLanes(context.Threads, pieces: 1);
        long workers = context.Threads * PrefillTile<TLanes, TFloats, TWords>.Bytes(call), lanes = (long)call.Shape.KvHeads * call.Tiles * call.TileLanes;
        call.Scratch = (byte*)context.SharedScratch(workers + (2 * lanes * sizeof(float)));
        float* maximum = (float*)(call.Scratch + workers);
        PrefillJobs.Run(context, new StatisticsJob<TLanes, TFloats, TWords> { Call = call, Maximum = maximum, Factor = maximum + lanes }, (long)call.Shape.KvHeads * call.Tiles);
        PrefillJobs.Run(context, new SumJob<TLanes, TFloats, TWords> { Call = call, Maximum = maximum, Factor = maximum + lanes }, (long)call.Shape.KvHeads * KeyChunks(call));
    }

    private static int KeyChunks(in PrefillCall call) => (call.Rows + ChunkKeys - 1) / ChunkKeys;

    /// <summary>Maximum and 1 / sum of the lanes of a tile.</summary>
    private struct StatisticsJob<TLanes, TFloats, TWords> : IPrefillJob
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        public PrefillCall Call;
        public float* Maximum;
        public float* Factor;

        public void Execute(long item, int worker)
        {
            fixed (PrefillCall* call = &Call)
            {
                // The long last tiles of a head first.
                int kvHead = (int)(item / call->Tiles), index = call->Tiles - 1 - (int)(item % call->Tiles);
                PrefillTile<TLanes, TFloats, TWords> tile = new(call, worker, kvHead, index * call->TileLanes);
                tile.Pack(call->Queries, tile.Queries);
                tile.Attend(0, tile.Row(tile.Lanes - 1) + 1, tile.Queries, int.MaxValue, values: false);
                long lanes = ((long)kvHead * call->Tiles * call->TileLanes) + ((long)index * call->TileLanes);
                for (int i = 0; i < call->TileLanes; i++)
                {
                    // Repeated lanes count nothing.
                    Maximum[lanes + i] = tile.Maximum[i];
                    Factor[lanes + i] = i < tile.Lanes ? 1 / tile.Sum[i] : 0;
                }
            }
        }
    }

    /// <summary>The sums of a chunk of keys, over all lanes that see any of them.</summary>
    private struct SumJob<TLanes, TFloats, TWords> : IPrefillJob
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        public PrefillCall Call;
        public float* Maximum;
        public float* Factor;

        public void Execute(long item, int worker)
        {
            fixed (PrefillCall* call = &Call)
            {
                int chunks = KeyChunks(*call), kvHead = (int)(item / chunks), first = (int)(item % chunks) * ChunkKeys, end = Math.Min(first + ChunkKeys, call->Rows);
                float* columns = stackalloc float[ChunkKeys * TLanes.Count];
                new Span<float>(columns, ChunkKeys * TLanes.Count).Clear();
                int firstTile = (int)((long)Math.Max(first - call->Past, 0) * call->Shape.Group / call->TileLanes);
                for (int index = firstTile; index < call->Tiles; index++) Add(call, worker, kvHead, index, first, end, columns);
                float* sums = call->Output + ((long)kvHead * call->Rows);
                for (int key = first; key < end; key++) sums[key] = TLanes.Sum(TLanes.Load(columns + ((key - first) * TLanes.Count)));
            }
        }

        private readonly void Add(PrefillCall* call, int worker, int kvHead, int index, int first, int end, float* columns)
        {
            PrefillTile<TLanes, TFloats, TWords> tile = new(call, worker, kvHead, index * call->TileLanes);
            tile.Pack(call->Queries, tile.Queries);
            long lanes = ((long)kvHead * call->Tiles * call->TileLanes) + ((long)index * call->TileLanes);
            for (int tileStart = first; tileStart < end; tileStart += PrefillCall.KeyTile)
            {
                int tileEnd = Math.Min(tileStart + PrefillCall.KeyTile, end);
                float* keys = tile.Keys(tileStart, tileEnd - tileStart);
                for (int lane = 0; lane < tile.Lanes; lane += PrefillKernels<TLanes, TFloats, TWords>.Block)
                {
                    int from = tileStart, to = tileEnd;
                    _ = tile.Score(keys, lane, tile.Queries, int.MaxValue, ref from, ref to);
                    PrefillKernels<TLanes, TFloats, TWords>.AddProbabilities(tile.Scores, to - from, tile.Vectors(lane), Maximum + lanes + lane, Factor + lanes + lane, columns + ((from - first) * TLanes.Count));
                }
            }
        }
    }
}
