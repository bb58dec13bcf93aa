namespace Equip.Model.Transformer;

/// <summary>What the feed-forward blocks of decode steps have cost.</summary>
/// <param name="Time">Time, norms and routers included, the choice of a sequence that had no prompt left out.</param>
/// <param name="Tokens">Tokens decoded, all sequences together.</param>
/// <param name="Bytes">Bytes of weights read for them, each token counted as if it were decoded alone.</param>
/// <param name="DenseBytes">What they would have been without channel pruning.</param>
/// <param name="Kept">Channels projected down, over all layers and tokens of pruned sequences.</param>
/// <param name="Channels">Channels there are, likewise.</param>
public readonly record struct FeedForwardTraffic(TimeSpan Time, long Tokens, long Bytes, long DenseBytes, long Kept, long Channels)
{
    /// <summary>Bytes read for each token.</summary>
    public double BytesPerToken => (double)Bytes / Tokens;

    /// <summary>How much faster the blocks can get at most by what is skipped, if reading bounds them.</summary>
    public double Bound => (double)DenseBytes / Bytes;

    /// <summary>The share of the channels that was projected down.</summary>
    public double KeptShare => (double)Kept / Channels;

    /// <summary>What it cost since an earlier state.</summary>
    public FeedForwardTraffic Since(FeedForwardTraffic earlier) => new(
        Time - earlier.Time, Tokens - earlier.Tokens, Bytes - earlier.Bytes, DenseBytes - earlier.DenseBytes, Kept - earlier.Kept, Channels - earlier.Channels);
}
