using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Model.Config;

namespace Equip.Bench.Suite;

/// <summary>
/// Bytes that a decode step has to move, the bound that measured ratios are held against: every access counted as one to memory,
/// a write as one, and nothing else. Of a layer's cache, in K rows (a token's keys of all KV heads; a V row is as long), with W
/// live tokens of which M are younger than the evicted one, and group query heads to a KV head:
/// <code>
///   attention alone               2 W                   read K and V
///   in place (E/F)                2 W + 2               and write one row of each
///   A functional                  19 W                  concatenate without the victim 4, with the new row 4, rotate in four operations 9
///   A with repeat_kv              (19 + 4 group) W      read K and V, write them group times, attend to group copies instead of one
///   B memmove                     2 W + 6 M             move K and V down 4, rotate the moved keys in place 2
///   C fused shift                 2 W + 4 M             move V, move and rotate K in one pass
///   D ring, all rotated           2 W + 2 + 2 M         rotate keys in place
/// </code>
/// With original positions nothing is rotated: A 10 W, B = C 2 W + 4 M. A sliding window evicts the oldest token after the sinks,
/// M = W - sinks. H2O mostly evicts the token that has just left its recent half: M = recent; its scores add 12 bytes a slot and
/// KV head (probability written and added: 4 + 8; moved rows move theirs too: 16). A step of the whole model also reads the
/// weights once, whatever the number of sequences.
/// </summary>
/// <param name="Config">Heads, layers.</param>
/// <param name="KvType">How K and V are stored.</param>
internal sealed record TrafficModel(ModelConfig Config, DataType KvType)
{
    /// <summary>Bytes of a K row: a token's keys of all KV heads of a layer.</summary>
    public long RowBytes => (long)Config.KvHeads * Config.HeadDim * KvType.Size();

    /// <summary>Bytes of cache traffic of one layer, sequence and step.</summary>
    public double LayerBytes(CacheTraffic cache) => (Rows(cache) * RowBytes) + ((double)cache.Live * Config.KvHeads * ScoreBytes(cache));

    /// <summary>Bytes of cache traffic of a step.</summary>
    public double CacheBytes(CacheTraffic cache, int sequences) => LayerBytes(cache) * Config.Layers * sequences;

    /// <summary>Bytes of a step, weights included.</summary>
    public double StepBytes(CacheTraffic cache, int sequences, long weightBytes) => weightBytes + CacheBytes(cache, sequences);

    private double Rows(CacheTraffic cache)
    {
        double live = cache.Live, moved = cache.Moved;
        return cache.Update switch
        {
            CacheUpdate.Functional => (cache.Rotates ? 19 : 10) * live,
            CacheUpdate.FunctionalRepeatKv => ((cache.Rotates ? 19 : 10) + (4 * Config.Heads / Config.KvHeads)) * live,
            CacheUpdate.Memmove => (2 * live) + ((cache.Rotates ? 6 : 4) * moved),
            CacheUpdate.FusedShift => (2 * live) + (4 * moved),
            CacheUpdate.RingRotate => (2 * live) + 2 + (cache.Rotates ? 2 * moved : 0),
            _ => (2 * live) + 2,
        };
    }

    private static int ScoreBytes(CacheTraffic cache) => !cache.Scores ? 0 : cache.Update is CacheUpdate.Memmove or CacheUpdate.FusedShift ? 16 : 12;
}

/// <summary>What the traffic of a cache depends on.</summary>
/// <param name="Update">How evictions are carried out.</param>
/// <param name="Live">Tokens attended, W.</param>
/// <param name="Moved">Live tokens younger than the evicted one, M.</param>
/// <param name="Rotates">Whether a baseline rotates keys: cache positions.</param>
/// <param name="Scores">Whether attention probabilities are accumulated.</param>
internal sealed record CacheTraffic(CacheUpdate Update, int Live, int Moved, bool Rotates = true, bool Scores = false);
