using System.Runtime.CompilerServices;
#if EQUIP_NATIVE
using System.Runtime.InteropServices;
#endif

namespace Equip.Kernels.Rope;

/// <summary>
/// Inverse frequencies of a model, and cosines and sines of any rotation (RoPE, arXiv 2104.09864). Angles are computed in
/// double: a float32 angle is off by 0.02 in a score at position 1,000,000, a double one by 1e-6.
/// </summary>
public sealed class RopeTable
{
    /// <summary>The largest <see cref="RopeOptions.HeadDim"/>.</summary>
    public const int LargestHeadDim = 1024;

    // Positions are split as 64 high + low, and the two rotations multiplied as complex numbers: a prompt then costs one sine a
    // pair every 64 positions. The split depends on the position alone, so a position has the same bits in every call.
    private const int LowBits = 6, LowCount = 1 << LowBits;

    private readonly double[] _frequencies;
    private readonly double[] _lowCos;
    private readonly double[] _lowSin;

    /// <summary>Computes the inverse frequencies.</summary>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public RopeTable(RopeOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Check(options);
        int rotaryDim = options.RotaryDim == 0 ? options.HeadDim : options.RotaryDim;
        Options = options;
        Pairs = rotaryDim / 2;
        AttentionFactor = RopeFrequencies.AttentionFactor(options);
        _frequencies = RopeFrequencies.Compute(options, rotaryDim);
        _lowCos = new double[LowCount * Pairs];
        _lowSin = new double[LowCount * Pairs];
        for (int low = 0; low < LowCount; low++)
            for (int i = 0; i < Pairs; i++)
                (_lowSin[(low * Pairs) + i], _lowCos[(low * Pairs) + i]) = SinCos(low * _frequencies[i]);
    }

    /// <summary>The options.</summary>
    public RopeOptions Options { get; }

    /// <summary>Pairs that are rotated: rotaryDim / 2.</summary>
    public int Pairs { get; }

    /// <summary>Radians per position, <c>[pairs]</c>.</summary>
    public ReadOnlySpan<double> InverseFrequencies => _frequencies;

    /// <summary>Factor of cos and sin (1 unless yarn). Applied by <see cref="Fill"/>, not by <see cref="FillDelta"/>.</summary>
    public double AttentionFactor { get; }

    /// <summary>Cosines and sines of rotations to positions, times the attention factor.</summary>
    /// <param name="positions">Rotation indices.</param>
    /// <param name="cos"><c>[positions, pairs]</c>.</param>
    /// <param name="sin"><c>[positions, pairs]</c>.</param>
    /// <exception cref="ArgumentException">A span is too short, or the two overlap.</exception>
    [SkipLocalsInit]
    public void Fill(ReadOnlySpan<int> positions, Span<float> cos, Span<float> sin)
    {
        Require.AtLeast(cos.Length, (long)positions.Length * Pairs);
        Require.AtLeast(sin.Length, (long)positions.Length * Pairs);
        RequireApart(cos, sin);
        if (positions.IsEmpty) return;
        Span<double> highCos = stackalloc double[Pairs], highSin = stackalloc double[Pairs];
        int filled = int.MinValue;
        for (int row = 0; row < positions.Length; row++)
        {
            int high = positions[row] >> LowBits, low = positions[row] & (LowCount - 1);
            if (high != filled)
            {
                double first = (double)high * LowCount;
                for (int i = 0; i < highCos.Length; i++)
                {
                    (double s, double c) = SinCos(first * _frequencies[i]);
                    highCos[i] = c * AttentionFactor;
                    highSin[i] = s * AttentionFactor;
                }

                filled = high;
            }

            Multiply(highCos, highSin, _lowCos.AsSpan(low * Pairs, Pairs), _lowSin.AsSpan(low * Pairs, Pairs), cos.Slice(row * Pairs, Pairs), sin.Slice(row * Pairs, Pairs));
        }
    }

    /// <summary>Cosines and sines of one further rotation of an already rotated row: no attention factor.</summary>
    /// <param name="delta">Positions to add; may be negative.</param>
    /// <param name="cos"><c>[pairs]</c>.</param>
    /// <param name="sin"><c>[pairs]</c>.</param>
    /// <exception cref="ArgumentException">A span is too short, or the two overlap.</exception>
    public void FillDelta(int delta, Span<float> cos, Span<float> sin)
    {
        Require.AtLeast(cos.Length, Pairs);
        Require.AtLeast(sin.Length, Pairs);
        RequireApart(cos, sin);
        for (int i = 0; i < Pairs; i++)
        {
            (double s, double c) = SinCos(delta * _frequencies[i]);
            cos[i] = (float)c;
            sin[i] = (float)s;
        }
    }

#if EQUIP_NATIVE
    // Compiled ahead of time, Math.SinCos is a call of sin and one of cos, which takes half as long again.
    private static unsafe (double Sin, double Cos) SinCos(double angle)
    {
        double sin, cos;
        SinCos(angle, &sin, &cos);
        return (sin, cos);
    }

    [DllImport("libm", EntryPoint = "sincos", ExactSpelling = true)]
    [SuppressGCTransition]
    private static extern unsafe void SinCos(double angle, double* sin, double* cos);
#else
    private static (double Sin, double Cos) SinCos(double angle) => Math.SinCos(angle);
#endif

    private static void Multiply(ReadOnlySpan<double> highCos, ReadOnlySpan<double> highSin, ReadOnlySpan<double> lowCos, ReadOnlySpan<double> lowSin, Span<float> cos, Span<float> sin)
    {
        for (int i = 0; i < highCos.Length; i++)
        {
            double hc = highCos[i], hs = highSin[i], lc = lowCos[i], ls = lowSin[i];
            cos[i] = (float)((hc * lc) - (hs * ls));
            sin[i] = (float)((hs * lc) + (hc * ls));
        }
    }

    private static void RequireApart(ReadOnlySpan<float> cos, ReadOnlySpan<float> sin)
    {
        if (cos.Overlaps(sin)) throw new ArgumentException("sin: overlaps cos", nameof(sin));
    }

    private static void Check(RopeOptions options)
    {
        Require.InRange(options.HeadDim, 2, LargestHeadDim);
        Require.InRange(options.RotaryDim, 0, options.HeadDim);
        Require.Multiple(options.RotaryDim == 0 ? options.HeadDim : options.RotaryDim, 2, nameof(options.RotaryDim));
        if (!Enum.IsDefined(options.Type)) throw new ArgumentOutOfRangeException(nameof(options), options.Type, $"Type: got {options.Type}, expected a RopeType");
        if (!Enum.IsDefined(options.Layout)) throw new ArgumentOutOfRangeException(nameof(options), options.Layout, $"Layout: got {options.Layout}, expected a RopeLayout");
        Over(options.Theta, 1, nameof(options.Theta));
        if (options.Type == RopeType.Default) return;
        Over(options.Factor, 0, nameof(options.Factor));
        if (options.Type == RopeType.Linear) return;
        Require.InRange(options.OriginalMaxPositions, 1, int.MaxValue);
        if (options.Type == RopeType.Llama3)
        {
            Over(options.LowFrequencyFactor, 0, nameof(options.LowFrequencyFactor));
            Over(options.HighFrequencyFactor, options.LowFrequencyFactor, nameof(options.HighFrequencyFactor));
            return;
        }

        Over(options.BetaSlow, 0, nameof(options.BetaSlow));
        Over(options.BetaFast, 0, nameof(options.BetaFast));
        if (options.AttentionFactor != 0) Over(options.AttentionFactor, 0, nameof(options.AttentionFactor));
        if (options.MScale != 0) Over(options.MScale, 0, nameof(options.MScale));
        if (options.MScaleAllDim != 0) Over(options.MScaleAllDim, 0, nameof(options.MScaleAllDim));
    }

    private static void Over(double value, double bound, string name)
    {
        if (!(value > bound) || double.IsInfinity(value))
            throw new ArgumentOutOfRangeException(name, value, $"{name}: got {value}, expected a finite number over {bound}");
    }
}
