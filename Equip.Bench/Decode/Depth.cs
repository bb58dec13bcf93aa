using System.Globalization;
using Equip.Bench.CommandLine;

namespace Equip.Bench.Decode;

/// <summary>Tokens in the sequences before the timed ones: the same in all, or spread evenly from the first sequence to the last.</summary>
internal readonly record struct Depth(int First, int Last)
{
    /// <summary>The same in all.</summary>
    public static implicit operator Depth(int tokens) => new(tokens, tokens);

    /// <summary>Tokens in a sequence of a batch.</summary>
    public int Of(int sequence, int sequences) => sequences == 1 ? First : First + (int)((long)(Last - First) * sequence / (sequences - 1));

    /// <summary>Tokens in all sequences of a batch.</summary>
    public long Total(int sequences)
    {
        long total = 0;
        for (int i = 0; i < sequences; i++) total += Of(i, sequences);
        return total;
    }

    /// <summary>As many in each as there are, but no more than <paramref name="most"/>.</summary>
    public Depth AtMost(int most) => new(Math.Min(First, most), Math.Min(Last, most));

    /// <summary>The depths of one item between commas: numbers as in every list, or first:last for a spread.</summary>
    /// <exception cref="FormatException">The text is neither.</exception>
    public static IEnumerable<Depth> Parse(string text)
    {
        string[] ends = text.Split(':');
        if (ends.Length == 1) return NumberList.ParseItem(text, 0, int.MaxValue).Select(tokens => (Depth)tokens);
        int[] numbers = [.. ends.SelectMany(end => NumberList.ParseItem(end, 0, int.MaxValue))];
        return ends.Length == 2 && numbers.Length == 2 ? [new Depth(numbers[0], numbers[1])] : throw new FormatException($"got '{text}', expected first:last");
    }

    /// <inheritdoc/>
    public override string ToString() => First == Last ? First.ToString(CultureInfo.InvariantCulture) : $"{First}:{Last}";
}
