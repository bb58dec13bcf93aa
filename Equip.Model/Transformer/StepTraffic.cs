namespace Equip.Model.Transformer;

/// <summary>Bytes that decode steps read, each token counted as if it were decoded alone: the matrices, and the live K and V rows that are attended.</summary>
/// <param name="Tokens">Tokens decoded, all sequences together.</param>
/// <param name="Bytes">Bytes read.</param>
/// <param name="DenseBytes">Bytes that the same steps would have read with the same caches, had nothing been left out.</param>
public readonly record struct StepTraffic(long Tokens, long Bytes, long DenseBytes)
{
    /// <summary>Bytes read for each token.</summary>
    public double BytesPerToken => (double)Bytes / Tokens;

    /// <summary>How much faster decoding can get at most by what is skipped, if reading bounds it.</summary>
    public double Bound => (double)DenseBytes / Bytes;

    /// <summary>What was read since an earlier state.</summary>
    public StepTraffic Since(StepTraffic earlier) => new(Tokens - earlier.Tokens, Bytes - earlier.Bytes, DenseBytes - earlier.DenseBytes);

    internal StepTraffic Add(long tokens, long bytes, long denseBytes) => new(Tokens + tokens, Bytes + bytes, DenseBytes + denseBytes);
}
