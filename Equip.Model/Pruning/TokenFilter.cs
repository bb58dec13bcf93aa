using Equip.Kernels.Dispatch;
using Equip.Kernels.Rope;
using Equip.Model.Config;

namespace Equip.Model.Pruning;

/// <summary>
/// Token Filtering of one sequence (see <see cref="TokenFilterOptions"/>): told of every token's K and V in every layer, it says which
/// ones need not attend. Prompt tokens and those of the warm-up always do.
/// </summary>
internal sealed class TokenFilter
{
    private readonly TokenFilterOptions _options;
    private readonly KernelContext _context;
    private readonly RopeTable _rope;
    private readonly FilterStatistics _statistics;
    private readonly LayerFilter[] _layers;
    private readonly int _kvHeads;
    private readonly float[] _rotated;      // [kvHeads, headDim]
    private readonly float[] _cos;          // [pairs]
    private readonly float[] _sin;          // [pairs]

    public TokenFilter(TokenFilterOptions options, ModelConfig config, RopeTable rope, KernelContext context, FilterStatistics statistics)
    {
        (_options, _rope, _context, _statistics, _kvHeads) = (options, rope, context, statistics, config.KvHeads);
        double[] rates = options.Schedule.Rates(config.Layers, options.Ratio);
        _layers = [.. rates.Select((rate, layer) => new LayerFilter(options, layer, rate, config.KvHeads, config.HeadDim))];
        bool rotates = options.Keys == FilterKeys.AfterRope;
        _rotated = new float[rotates ? config.KvHeads * config.HeadDim : 0];
        _cos = new float[rotates ? rope.Pairs : 0];
        _sin = new float[rotates ? rope.Pairs : 0];
    }

    /// <summary>Whether the current token is filtered in the current layer.</summary>
    public bool Skips { get; private set; }

    /// <summary>Whether a filtered token's K and V enter the cache.</summary>
    public bool Appends => _options.Appends;

    /// <summary>Whether the tokens that are decoded now belong to a prompt, which is never filtered.</summary>
    public bool Dense { get; set; }

    /// <summary>Tokens of a layer that are not in its cache because they were filtered.</summary>
    public int LeftOut(int layer) => _layers[layer].LeftOut;

    /// <summary>Whether the last token that was decided about was filtered in a layer.</summary>
    public bool Skipped(int layer) => _layers[layer].Skipped;

    /// <summary>A layer's threshold; not a number before its first decision.</summary>
    public double Threshold(int layer) => _layers[layer].Threshold;

    /// <summary>Takes a token of a prompt.</summary>
    /// <param name="layer">Layer.</param>
    /// <param name="keys"><c>[kvHeads, headDim]</c>, not rotated.</param>
    /// <param name="values"><c>[kvHeads, headDim]</c>.</param>
    /// <param name="position">Its place in the text.</param>
    public void Observe(int layer, ReadOnlySpan<float> keys, ReadOnlySpan<float> values, int position)
    {
        if (_layers[layer].Active) _layers[layer].Observe(Compared(keys, position), values);
    }

    /// <summary>Decides about a decoded token; the parameters are those of <see cref="Observe"/>.</summary>
    public bool Decide(int layer, ReadOnlySpan<float> keys, ReadOnlySpan<float> values, int position)
    {
        Skips = _layers[layer].Skipped = false;
        if (Dense || position < _options.WarmUpTokens)
        {
            Observe(layer, keys, values, position);
            return false;
        }

        double similarity = 0;
        Skips = _layers[layer].Active && _layers[layer].Decide(Compared(keys, position), values, out similarity);
        _layers[layer].Skipped = Skips;
        _statistics.Count(layer, Skips, similarity);
        if (Skips && !Appends) _layers[layer].LeftOut++;
        return Skips;
    }

    /// <summary>The keys in the form that is compared.</summary>
    private ReadOnlySpan<float> Compared(ReadOnlySpan<float> keys, int position)
    {
        if (_options.Keys == FilterKeys.BeforeRope) return keys;
        _rope.Fill([position], _cos, _sin);
        RopeRotation.Rotate(_context, _rope, keys, _rotated, _cos, _sin, 1, _kvHeads);
        return _rotated;
    }
}
