using System.Runtime.Intrinsics;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Attention;

/// <summary>
/// Probabilities of the last queries of a prompt against all its keys: what SnapKV (arXiv 2404.14469) and its relatives
/// score by.
/// </summary>
public static unsafe class WindowScores
{
    // Keys of one chunk: enough that laying out the queries does not show, few enough to share a long prompt out.
    private const int ChunkKeys = 8 * PrefillCall.KeyTile;

    /// <summary>Computes the probabilities.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="shape">Heads, head dimension, cache type.</param>
    /// <param name="queries"><c>[window, heads, headDim]</c>: the rotated queries of the last rows.</param>
    /// <param name="keys">
    /// K rows (values are not read); <see cref="PrefillKeys.Past"/> counts the rows before the window. Its window and sinks are
    /// those of windowed attention, which this is not: both 0.
    /// </param>
    /// <param name="probabilities"><c>[heads, window, past + window]</c>; causal inside the window (later keys get 0).</param>
    /// <param name="window">Queries.</param>
    /// <exception cref="ArgumentException">A length, count or pointer does not fit.</exception>
    public static void Compute(KernelContext context, in AttentionShape shape, ReadOnlySpan<float> queries, in PrefillKeys keys, Span<float> probabilities, int window)
    {
        PrefillCall call = PrefillCall.Create(context, shape, keys, window, readsValues: false);
        PrefillCall.RequireUnwindowed(keys);
        long rows = (long)shape.Heads * window, keyRows = keys.Past + window;
        Require.AtLeast(queries.Length, rows * shape.HeadDim);
        Require.AtLeast(probabilities.Length, checked(rows * keyRows));
        if (probabilities.Overlaps(queries)) throw new ArgumentException("probabilities: overlaps the queries", nameof(probabilities));
        fixed (float* q = queries, p = probabilities)
        {
            call.Queries = q;
            call.Output = p;
            if (context.Isa == Isa.Avx512) Run<Avx512Lanes, Vector512<float>, Vector512<uint>>(context, ref call);
            else if (context.Isa == Isa.Avx2) Run<Avx2Lanes, Vector256<float>, Vector256<uint>>(context, ref call);
            else Run<ScalarLanes, float, uint>(context, ref call);
        }

        Softmax.Normalize(context, probabilities, probabilities, (int)rows, (int)keyRows);
    }

    private static void Run<TLanes, TFloats, TWords>(KernelContext context, ref PrefillCall call)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        call.CutLanes(context.Threads, pieces: KeyChunks(call));
        call.Scratch = (byte*)context.SharedScratch(context.Threads * PrefillTile<TLanes, TFloats, TWords>.Bytes(call));
        PrefillJobs.Run(context, new ScoreJob<TLanes, TFloats, TWords> { Call = call }, (long)call.Shape.KvHeads * call.Tiles * KeyChunks(call));
    }

    private static int KeyChunks(in PrefillCall call) => (call.Rows + ChunkKeys - 1) / ChunkKeys;

    /// <summary>Raw scores of a tile of lanes against a chunk of keys.</summary>
    private struct ScoreJob<TLanes, TFloats, TWords> : IPrefillJob
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        public PrefillCall Call;

        public void Execute(long item, int worker)
        {
            fixed (PrefillCall* call = &Call)
            {
                int chunks = KeyChunks(*call), first = (int)(item % chunks) * ChunkKeys;
                int kvHead = (int)(item / chunks / call->Tiles), firstLane = (int)(item / chunks % call->Tiles) * call->TileLanes;
                PrefillTile<TLanes, TFloats, TWords> tile = new(call, worker, kvHead, firstLane);
                tile.Pack(call->Queries, tile.Queries);
                int group = call->Shape.Group, block = PrefillKernels<TLanes, TFloats, TWords>.Block;
                for (int i = 0; i < tile.Lanes; i++)
                {
                    int lane = firstLane + i;
                    tile.Offsets[i] = (((((long)kvHead * group) + (lane % group)) * call->Tokens) + (lane / group)) * call->Rows;
                }

                for (int end = Math.Min(first + ChunkKeys, call->Rows); first < end; first += PrefillCall.KeyTile)
                {
                    int tileEnd = Math.Min(first + PrefillCall.KeyTile, end);
                    float* keys = tile.Keys(first, tileEnd - first);
                    for (int lane = 0; lane < tile.Lanes; lane += block)
                    {
                        int from = first, to = tileEnd;
                        _ = tile.Score(keys, lane, tile.Queries, int.MaxValue, ref from, ref to, tile.Scores);
                        new Span<float>(tile.Scores + ((to - first) * block), (tileEnd - to) * block).Fill(float.NegativeInfinity);
                        PrefillTranspose.ToRows(tile.Scores, block, call->Output + first, tile.Offsets + lane, Math.Min(block, tile.Lanes - lane), tileEnd - first);
                    }
                }
            }
        }
    }
}
