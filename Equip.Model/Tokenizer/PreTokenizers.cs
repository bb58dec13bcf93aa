using System.Text;
using System.Text.RegularExpressions;

namespace Equip.Model.Tokenizer;

/// <summary>A stretch of text on its way through the pre-tokenizers. Merges never cross the border of a piece.</summary>
/// <param name="Text">The text that holds it.</param>
/// <param name="Start">Where it starts there.</param>
/// <param name="Length">Its UTF-16 units.</param>
/// <param name="AtStart">Whether the whole input starts with it.</param>
internal readonly record struct Piece(string Text, int Start, int Length, bool AtStart)
{
    public ReadOnlySpan<char> Span => Text.AsSpan(Start, Length);
}

/// <summary>Cuts one piece into smaller ones, rewriting them if that is its job. Empty ones may come out and are dropped later.</summary>
internal delegate void PreTokenizer(in Piece piece, List<Piece> output);

/// <summary>The "pre_tokenizer" of tokenizer.json.</summary>
internal static class PreTokenizers
{
    private const string Supported = "ByteLevel, Digits, Metaspace, Sequence, Split, Whitespace or WhitespaceSplit";

    /// <summary>Reads the steps; each takes what the one before it left.</summary>
    public static PreTokenizer[] Read(JsonField field)
    {
        if (field.IsNull) return [];
        switch (field.Type)
        {
            case "ByteLevel": return [ByteLevel.Read(field)];
            case "Digits":
                return [Splitter.Make(Matchers.Where(CharacterClasses.IsNumeric), field["individual_digits"].Flag(false) ? SplitBehavior.Isolated : SplitBehavior.Contiguous)];
            case "Metaspace": return [Metaspace.Read(field).PreTokenize];
            case "Sequence": return [.. field["pretokenizers"].Items().SelectMany(Read)];
            case "Split": return [ReadSplit(field)];
            case "Whitespace": return [Splitter.Make(Matchers.WordsAndPunctuation, SplitBehavior.Removed, invert: true)];
            case "WhitespaceSplit": return [Splitter.Make(Matchers.Where(Rune.IsWhiteSpace), SplitBehavior.Removed)];
            default: throw field.NotSupported(Supported);
        }
    }

    /// <summary>Runs all steps over one piece.</summary>
    public static List<Piece> Run(PreTokenizer[] steps, Piece piece)
    {
        List<Piece> pieces = [piece], next = [];
        foreach (PreTokenizer step in steps)
        {
            next.Clear();
            foreach (Piece current in pieces)
                if (current.Length > 0) step(current, next);
            (pieces, next) = (next, pieces);
        }

        return pieces;
    }

    private static PreTokenizer ReadSplit(JsonField field)
    {
        JsonField pattern = field["pattern"], behavior = field["behavior"];
        MatchFinder finder = pattern["Regex"].IsNull ? Matchers.Literal(pattern["String"].Text()) : ReadRegex(pattern["Regex"]);
        string name = behavior.Text();
        if (!Enum.TryParse(name, out SplitBehavior parsed) || parsed.ToString() != name)
            throw behavior.Error($"got {name}, expected {string.Join(", ", Enum.GetNames<SplitBehavior>())}");
        return Splitter.Make(finder, parsed, field["invert"].Flag(false));
    }

    private static MatchFinder ReadRegex(JsonField field)
    {
        MatchFinder finder;
        try
        {
            finder = Matchers.Regex(field.Text());
        }
        catch (Exception error) when (error is FormatException or ArgumentException)
        {
            throw field.Error(error.Message, error);
        }

        return (text, matches) =>
        {
            try
            {
                finder(text, matches);
            }
            catch (RegexMatchTimeoutException error)
            {
                throw field.Error($"took longer than {error.MatchTimeout.TotalSeconds:0} s on {text.Length} characters", error);
            }
        };
    }
}
