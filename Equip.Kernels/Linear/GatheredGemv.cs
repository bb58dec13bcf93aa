using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Linear;

/// <summary>
/// Products with some rows or some columns of a matrix, for pruning the channels of a feed-forward layer: the gate and up
/// projections keep rows, the down projection keeps columns, which are rows of its transpose.
/// </summary>
public static class GatheredGemv
{
    /// <summary>output[i] = W[rows[i]] · input: the same bits as <see cref="LinearLayer.Multiply"/> gives for these rows.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="weights"><c>[anything, columns]</c>, of any type.</param>
    /// <param name="rows">Row numbers, in any order; repetition is allowed. Ascending order reads memory best.</param>
    /// <param name="input"><c>[columns]</c>.</param>
    /// <param name="output"><c>[rows.Length]</c>; may not overlap <paramref name="input"/>.</param>
    /// <exception cref="ArgumentException">A length does not fit, or spans overlap.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A row number is not in the matrix.</exception>
    public static unsafe void Rows(KernelContext context, in WeightMatrix weights, ReadOnlySpan<int> rows, ReadOnlySpan<float> input, Span<float> output)
    {
        ArgumentNullException.ThrowIfNull(context);
        Require.NotNull(weights.Data, nameof(weights));
        RequireNumbers(rows, weights.Rows, nameof(rows));
        Require.AtLeast(input.Length, weights.Columns, nameof(input));
        Require.AtLeast(output.Length, rows.Length, nameof(output));
        if (output.Overlaps(input)) throw new ArgumentException("output: overlaps input", nameof(output));
        if (rows.IsEmpty) return;
        fixed (int* list = rows)
        fixed (float* x = input, y = output)
            Gemv.Multiply(context, weights, list, rows.Length, x, y, null, false);
    }

    /// <summary>output = sum over i of activations[i] * W[channels[i]].</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="weightsTransposed"><c>[channels, outputs]</c>: a channel is one row. f32, f16 or bf16.</param>
    /// <param name="channels">Channel numbers, in any order; repetition is allowed. Ascending order reads memory best.</param>
    /// <param name="activations"><c>[channels.Length]</c>.</param>
    /// <param name="output"><c>[outputs]</c>; may not overlap <paramref name="activations"/>.</param>
    /// <param name="accumulate">Add to <paramref name="output"/> instead of replacing it.</param>
    /// <exception cref="ArgumentException">A length or the type does not fit, or spans overlap.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A channel number is not in the matrix.</exception>
    public static unsafe void Channels(KernelContext context, in WeightMatrix weightsTransposed, ReadOnlySpan<int> channels, ReadOnlySpan<float> activations, Span<float> output, bool accumulate = false)
    {
        ArgumentNullException.ThrowIfNull(context);
        Require.NotNull(weightsTransposed.Data, nameof(weightsTransposed));
        if (weightsTransposed.Type == DataType.Q8) throw new ArgumentException("weightsTransposed: got q8, expected f32, f16 or bf16", nameof(weightsTransposed));
        RequireNumbers(channels, weightsTransposed.Rows, nameof(channels));
        Require.AtLeast(activations.Length, channels.Length, nameof(activations));
        Require.AtLeast(output.Length, weightsTransposed.Columns, nameof(output));
        if (output.Overlaps(activations)) throw new ArgumentException("output: overlaps activations", nameof(output));
        fixed (int* list = channels)
        fixed (float* a = activations, y = output)
            ChannelSum.Add(context, weightsTransposed, list, channels.Length, a, y, accumulate);
    }

    private static void RequireNumbers(ReadOnlySpan<int> numbers, int end, string name)
    {
        for (int i = 0; i < numbers.Length; i++)
        {
            if ((uint)numbers[i] >= (uint)end) ThrowNumber(numbers[i], i, end, name);
        }
    }

    private static void ThrowNumber(int number, int index, int end, string name) => throw new ArgumentOutOfRangeException(name, number, $"{name}[{index}]: got {number}, expected 0 to {end - 1}");
}
