namespace Equip.Model.Pruning;

/// <summary>What a prompt has shown of a feed-forward block's channels: sums of squares over its tokens.</summary>
internal sealed class ChannelStatistics(int channels)
{
    private readonly double[] _product = new double[channels];
    private readonly double[] _up = new double[channels];

    /// <summary>Tokens seen.</summary>
    public long Tokens { get; private set; }

    /// <summary>Adds tokens.</summary>
    /// <param name="product">silu(gate) * up, <c>[rows, channels]</c>: the input of the down projection.</param>
    /// <param name="up"><c>[rows, channels]</c>.</param>
    /// <param name="rows">Tokens.</param>
    public void Add(ReadOnlySpan<float> product, ReadOnlySpan<float> up, int rows)
    {
        for (int row = 0; row < rows; row++)
        {
            ReadOnlySpan<float> a = product.Slice(row * channels, channels), u = up.Slice(row * channels, channels);
            for (int k = 0; k < channels; k++)
            {
                _product[k] += (double)a[k] * a[k];
                _up[k] += (double)u[k] * u[k];
            }
        }

        Tokens += rows;
    }

    /// <summary>The Euclidean norm of a channel's input to the down projection over the tokens.</summary>
    public double ProductNorm(int channel) => Math.Sqrt(_product[channel]);

    /// <summary>The root mean square of a channel's up over the tokens.</summary>
    public double UpSize(int channel) => Math.Sqrt(_up[channel] / Tokens);
}
