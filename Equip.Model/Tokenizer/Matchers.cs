using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Equip.Model.Tokenizer;

/// <summary>The patterns that text is cut at.</summary>
internal static class Matchers
{
    // Longer than any honest pattern needs for any text; stops patterns that backtrack without end.
    private static readonly TimeSpan _timeout = TimeSpan.FromSeconds(5);

    /// <summary>
    /// For each Unicode category, in the order of <see cref="UnicodeCategory"/>, one character below U+10000 that patterns do not
    /// name: it stands for characters above U+FFFF, of which .NET's regular expressions see two halves without a category. Space,
    /// control and surrogate categories have no such characters (any char will do).
    /// </summary>
    private const string StandIns = "\u10A0\u0250\u01C5\u02B0\u1401\u1DC0\u0903\u20DD\u1810\u16EE\u2460 \u2028\u2029\u0001\u2061\uFFFF\uE000\u203F\u2010\u2045\u2046\u2039\u203A\u1361\u2201\u20A0\u02C2\u2600\u0378";

    /// <summary>Runs of word characters, and runs of others that are not white space.</summary>
    public static void WordsAndPunctuation(ReadOnlySpan<char> text, List<(int Start, int End)> matches)
    {
        int at = 0, start = 0;
        bool? current = null;
        foreach (Rune rune in text.EnumerateRunes())
        {
            bool? kind = Rune.IsWhiteSpace(rune) ? null : CharacterClasses.IsWord(rune);
            if (kind != current)
            {
                if (current is not null) matches.Add((start, at));
                start = at;
                current = kind;
            }

            at += rune.Utf16SequenceLength;
        }

        if (current is not null) matches.Add((start, at));
    }

    /// <summary>Each character that <paramref name="predicate"/> accepts.</summary>
    public static MatchFinder Where(Func<Rune, bool> predicate) => (text, matches) =>
    {
        int at = 0;
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (predicate(rune)) matches.Add((at, at + rune.Utf16SequenceLength));
            at += rune.Utf16SequenceLength;
        }
    };

    /// <summary>Each occurrence of <paramref name="value"/>; none of an empty one.</summary>
    public static MatchFinder Literal(string value) => (text, matches) =>
    {
        for (int from = 0; value.Length > 0 && text[from..].IndexOf(value, StringComparison.Ordinal) is int distance and >= 0;)
        {
            matches.Add((from + distance, from + distance + value.Length));
            from += distance + value.Length;
        }
    };

    /// <summary>A regular expression in Oniguruma's syntax, as far as <see cref="OnigurumaPattern"/> translates it.</summary>
    /// <exception cref="FormatException">It holds something that is not translated.</exception>
    /// <exception cref="ArgumentException">It is not a regular expression.</exception>
    public static MatchFinder Regex(string pattern)
    {
        // Multiline: in Oniguruma's Ruby syntax ^ and $ always mean lines.
        Regex regex = new(OnigurumaPattern.Translate(pattern), RegexOptions.CultureInvariant | RegexOptions.Multiline, _timeout);
        return (text, matches) => Find(regex, text, matches);
    }

    /// <summary>The stand-in for a character above U+FFFF.</summary>
    internal static char StandIn(Rune rune)
    {
        UnicodeCategory category = Rune.GetUnicodeCategory(rune);
        // Squared letters are symbols that \w takes in, like the circled ones.
        return category == UnicodeCategory.OtherSymbol && CharacterClasses.IsWord(rune) ? '\u24B6' : StandIns[(int)category];
    }

    private static void Find(Regex regex, ReadOnlySpan<char> text, List<(int Start, int End)> matches)
    {
        if (text.IndexOfAnyInRange('\uD800', '\uDFFF') < 0)
        {
            foreach (ValueMatch match in regex.EnumerateMatches(text)) matches.Add((match.Index, match.Index + match.Length));
            return;
        }

        // Match on a copy with one unit per character, and carry the borders back.
        char[] copy = new char[text.Length];
        int[] origins = new int[text.Length + 1];
        int length = 0, at = 0;
        foreach (Rune rune in text.EnumerateRunes())
        {
            origins[length] = at;
            copy[length++] = rune.IsBmp ? (char)rune.Value : StandIn(rune);
            at += rune.Utf16SequenceLength;
        }

        origins[length] = at;
        foreach (ValueMatch match in regex.EnumerateMatches(copy.AsSpan(0, length)))
            matches.Add((origins[match.Index], origins[match.Index + match.Length]));
    }
}
