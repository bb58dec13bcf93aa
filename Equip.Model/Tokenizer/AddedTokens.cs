using System.Buffers;
using System.Text;

namespace Equip.Model.Tokenizer;

/// <summary>One entry of "added_tokens": text that becomes an id before anything else looks at it.</summary>
/// <param name="Id">The id.</param>
/// <param name="Content">The text.</param>
/// <param name="SingleWord">Only where no letter, digit or underscore touches it.</param>
/// <param name="LeftStrip">Swallows white space to its left.</param>
/// <param name="RightStrip">Swallows white space to its right.</param>
/// <param name="Normalized">Looked for in normalised text, in its normalised form, instead of in the raw text.</param>
/// <param name="Special">A control token, left out of decoded text if asked.</param>
internal sealed record AddedToken(int Id, string Content, bool SingleWord, bool LeftStrip, bool RightStrip, bool Normalized, bool Special);

/// <summary>A range of a text: an added token, or the text between two (<paramref name="Id"/> -1).</summary>
internal readonly record struct Fragment(int Start, int End, int Id);

/// <summary>Finds added tokens in text: the leftmost first, of those the longest (a trie walked from every possible start).</summary>
internal sealed class AddedTokens
{
    private readonly Dictionary<(int Node, char Next), int> _edges = [];
    private readonly Dictionary<int, AddedToken> _ends = [];
    private readonly SearchValues<char> _starts;

    /// <summary>Makes a finder of <paramref name="tokens"/>, which are looked for as <paramref name="pattern"/> rewrites them.</summary>
    public AddedTokens(IEnumerable<AddedToken> tokens, Func<string, string> pattern)
    {
        HashSet<char> starts = [];
        foreach (AddedToken token in tokens)
        {
            string text = pattern(token.Content);
            if (text.Length == 0) continue;
            starts.Add(text[0]);
            int node = 0;
            foreach (char next in text)
            {
                if (!_edges.TryGetValue((node, next), out int child)) _edges[(node, next)] = child = _edges.Count + 1;
                node = child;
            }

            _ends.TryAdd(node, token);
        }

        _starts = SearchValues.Create([.. starts]);
    }

    /// <summary>Reads "added_tokens".</summary>
    public static List<AddedToken> Read(JsonField field) => field.IsNull
        ? []
        : [.. field.Items().Select(static entry => new AddedToken(
            entry["id"].Integer(int.MaxValue - 1),
            entry["content"].Text() is { Length: > 0 } content ? content : throw entry["content"].Error("is empty, expected text"),
            entry["single_word"].Flag(false),
            entry["lstrip"].Flag(false),
            entry["rstrip"].Flag(false),
            entry["normalized"].Flag(true),
            entry["special"].Flag(false)))];

    /// <summary>Cuts <paramref name="text"/> into added tokens and the text between them, in order.</summary>
    public List<Fragment> Split(string text)
    {
        List<Fragment> fragments = [];
        int done = 0, from = 0;
        while (text.AsSpan(from).IndexOfAny(_starts) is int distance and >= 0)
        {
            int start = from + distance;
            if (Match(text, start) is not (AddedToken token, int end))
            {
                from = start + 1;
                continue;
            }

            from = end;
            if (token.SingleWord && (EndsWithWord(text.AsSpan(0, start)) || StartsWithWord(text.AsSpan(end)))) continue;
            if (token.LeftStrip)
                while (start > done && char.IsWhiteSpace(text[start - 1])) start--;
            if (token.RightStrip)
                while (end < text.Length && char.IsWhiteSpace(text[end])) end++;
            if (start > done) fragments.Add(new Fragment(done, start, -1));
            fragments.Add(new Fragment(start, end, token.Id));
            done = end;
        }

        if (done < text.Length) fragments.Add(new Fragment(done, text.Length, -1));
        return fragments;
    }

    private (AddedToken Token, int End)? Match(string text, int start)
    {
        (AddedToken, int)? longest = null;
        for (int node = 0, at = start; at < text.Length && _edges.TryGetValue((node, text[at]), out node);)
        {
            at++;
            if (_ends.TryGetValue(node, out AddedToken? token)) longest = (token, at);
        }

        return longest;
    }

    private static bool EndsWithWord(ReadOnlySpan<char> text) => Rune.DecodeLastFromUtf16(text, out Rune last, out _) == OperationStatus.Done && CharacterClasses.IsWord(last);

    private static bool StartsWithWord(ReadOnlySpan<char> text) => Rune.DecodeFromUtf16(text, out Rune first, out _) == OperationStatus.Done && CharacterClasses.IsWord(first);
}
