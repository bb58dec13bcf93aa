namespace Equip.Kernels.Rope;

/// <summary>Inverse frequencies of a model, and cosines and sines of any rotation. Angles are computed in double.</summary>
public sealed class RopeTable
{
    /// <summary>Computes the inverse frequencies.</summary>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public RopeTable(RopeOptions options) => throw new NotImplementedException();

    /// <summary>The options.</summary>
    public RopeOptions Options { get; }

    /// <summary>Pairs that are rotated: rotaryDim / 2.</summary>
    public int Pairs { get; }

    /// <summary>Radians per position, <c>[pairs]</c>.</summary>
    public ReadOnlySpan<double> InverseFrequencies => throw new NotImplementedException();

    /// <summary>Factor of cos and sin (1 unless yarn). Applied by <see cref="Fill"/>, not by <see cref="FillDelta"/>.</summary>
    public double AttentionFactor { get; }

    /// <summary>Cosines and sines of rotations to positions, times the attention factor.</summary>
    /// <param name="positions">Rotation indices.</param>
    /// <param name="cos"><c>[positions, pairs]</c>.</param>
    /// <param name="sin"><c>[positions, pairs]</c>.</param>
    /// <exception cref="ArgumentException">A span is too short.</exception>
    public void Fill(ReadOnlySpan<int> positions, Span<float> cos, Span<float> sin) => throw new NotImplementedException();

    /// <summary>Cosines and sines of one further rotation of an already rotated row: no attention factor.</summary>
    /// <param name="delta">Positions to add; may be negative.</param>
    /// <param name="cos"><c>[pairs]</c>.</param>
    /// <param name="sin"><c>[pairs]</c>.</param>
    /// <exception cref="ArgumentException">A span is too short.</exception>
    public void FillDelta(int delta, Span<float> cos, Span<float> sin) => throw new NotImplementedException();
}
