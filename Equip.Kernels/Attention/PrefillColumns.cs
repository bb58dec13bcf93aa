using Equip.Kernels.Numerics;

namespace Equip.Kernels.Attention;

/// <summary>
/// How much attention each key gets from a prompt's queries: the column sums of the causal softmax over all queries and the
/// group's heads, which H2O (arXiv 2306.14048) starts from. When a tile of lanes has been attended its final maxima and sums are
/// known, and the probabilities it left only want their factors; keys for which there was no room are scored again.
/// </summary>
internal static unsafe class PrefillColumns<TLanes, TFloats, TWords>
    where TLanes : struct, ILanes<TFloats, TWords>
    where TFloats : struct
    where TWords : struct
{
    /// <summary>Adds the probabilities of an attended tile over the keys before <paramref name="end"/> to <paramref name="sums"/>.</summary>
    public static void Add(in PrefillTile<TLanes, TFloats, TWords> tile, int tileLanes, KeptProbabilities kept, int end, float* sums)
    {
        int block = PrefillKernels<TLanes, TFloats, TWords>.Block;
        float* columns = stackalloc float[PrefillCall.KeyTile * TLanes.Count], factor = stackalloc float[tileLanes], spare = stackalloc float[2 * block];

        // Repeated lanes count nothing.
        for (int i = 0; i < tileLanes; i++) factor[i] = i < tile.Lanes ? 1 / tile.Sum[i] : 0;

        // From the end: the last probabilities are still in the nearest cache.
        for (int first = (end - 1) / PrefillCall.KeyTile * PrefillCall.KeyTile; first >= 0; first -= PrefillCall.KeyTile)
        {
            int tileEnd = Math.Min(first + PrefillCall.KeyTile, end);
            new Span<float>(columns, PrefillCall.KeyTile * TLanes.Count).Clear();
            float* keys = kept.Has(first) ? null : tile.Keys(first, tileEnd - first);
            for (int lane = 0; lane < tile.Lanes; lane += block)
            {
                int from = first, to = Math.Clamp(tile.Row(Math.Min(lane + block, tile.Lanes) - 1) + 1, first, tileEnd), vectors = tile.Vectors(lane);
                float* probabilities = tile.Scores, maximum = tile.Maximum + lane, old = maximum;
                if (kept.Has(first))
                {
                    probabilities = kept.Block(first, lane);
                    old = kept.Maximum(first) + lane;
                }
                else
                {
                    _ = tile.Score(keys, lane, tile.Queries, int.MaxValue, ref from, ref to, probabilities);
                    PrefillKernels<TLanes, TFloats, TWords>.Softmax(probabilities, to - first, vectors, maximum, spare, spare + block);
                }

                PrefillKernels<TLanes, TFloats, TWords>.AddColumns(probabilities, to - first, vectors, old, maximum, factor + lane, columns);
            }

            for (int key = first; key < tileEnd; key++) sums[key] += TLanes.Sum(TLanes.Load(columns + ((key - first) * TLanes.Count)));
        }
    }
}

/// <summary>Adds the sums of a KV head's slices, in their order, to the caller's.</summary>
internal unsafe struct PrefillColumnsJob : IPrefillJob
{
    public PrefillCall Call;

    public readonly void Execute(long item, int worker)
    {
        float* sums = Call.ColumnSums + (item * Call.ColumnStride);
        for (int slice = 0; slice < Call.Slices; slice++)
        {
            float* part = Call.SliceSums + (((item * Call.Slices) + slice) * Call.Rows);
            for (int row = 0; row < Call.Rows; row++) sums[row] += part[row];
        }
    }
}
