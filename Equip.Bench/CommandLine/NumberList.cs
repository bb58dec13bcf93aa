using System.Globalization;

namespace Equip.Bench.CommandLine;

/// <summary>
/// Lists of whole numbers as llama-bench writes them: "1,2,4", "1-4" (every number), "16-64+16" (16, 32, 48, 64) and
/// "64-512*2" (64, 128, 256, 512). Ranges include their end where the step meets it.
/// </summary>
internal static class NumberList
{
    private const int MaxNumbers = 10_000;

    /// <summary>The numbers of one item between commas.</summary>
    /// <exception cref="FormatException">The text is no number or range, or a number is outside [min, max].</exception>
    public static IReadOnlyList<int> ParseItem(string text, int min, int max)
    {
        // A range's dash is never the first character: that would be a sign, and no option takes negative numbers.
        int dash = text.IndexOf('-', Math.Min(1, text.Length));
        if (dash < 0) return [Number(text, text, min, max)];
        int first = Number(text[..dash], text, min, max);
        string rest = text[(dash + 1)..];
        int mark = rest.IndexOfAny(['+', '*']);
        int last = Number(mark < 0 ? rest : rest[..mark], text, min, max);
        int step = mark < 0 ? 1 : Number(rest[(mark + 1)..], text, 1, int.MaxValue);
        bool multiply = mark >= 0 && rest[mark] == '*';
        if (last < first) throw new FormatException($"got '{text}', expected the range's end not to lie before its start");
        if (multiply && (step < 2 || first == 0)) throw new FormatException($"got '{text}', expected a factor of at least 2 and a start of at least 1");
        List<int> numbers = [];
        for (long number = first; number <= last; number = multiply ? number * step : number + step)
        {
            numbers.Add((int)number);
            if (numbers.Count > MaxNumbers) throw new FormatException($"got '{text}', expected at most {MaxNumbers} numbers");
        }

        return numbers;
    }

    private static int Number(string digits, string whole, int min, int max)
    {
        if (!long.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number))
            throw new FormatException($"got '{whole}', expected a number, first-last, first-last+step or first-last*factor");
        if (number < min || number > max) throw new FormatException($"got {number}, expected {(max == int.MaxValue ? $"at least {min}" : $"{min} to {max}")}");
        return (int)number;
    }
}
