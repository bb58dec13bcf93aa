namespace Equip.Model.Tokenizer;

/// <summary>What becomes of the text that a Split pattern matches. On "a-b--c" with the pattern "-":</summary>
internal enum SplitBehavior
{
    /// <summary>a b c</summary>
    Removed,

    /// <summary>a - b - - c</summary>
    Isolated,

    /// <summary>a- b- - c</summary>
    MergedWithPrevious,

    /// <summary>a -b - -c</summary>
    MergedWithNext,

    /// <summary>a - b -- c</summary>
    Contiguous,
}

/// <summary>Appends the matches of a pattern in <paramref name="text"/>, in order and without overlap.</summary>
internal delegate void MatchFinder(ReadOnlySpan<char> text, List<(int Start, int End)> matches);

/// <summary>Cuts text where a pattern matches.</summary>
internal static class Splitter
{
    /// <summary>Makes the pre-tokenizer; <paramref name="invert"/> swaps what matches and what does not.</summary>
    public static PreTokenizer Make(MatchFinder finder, SplitBehavior behavior, bool invert = false) => (in piece, output) =>
    {
        foreach ((int start, int end) in Split(piece.Span, finder, behavior, invert))
            output.Add(new Piece(piece.Text, piece.Start + start, end - start, piece.AtStart && start == 0));
    };

    /// <summary>The parts of <paramref name="text"/>, in order.</summary>
    public static List<(int Start, int End)> Split(ReadOnlySpan<char> text, MatchFinder finder, SplitBehavior behavior, bool invert)
    {
        List<(int Start, int End)> parts = [];
        finder(text, parts);
        if (behavior == SplitBehavior.Removed && invert) return parts;

        List<(int Start, int End, bool IsMatch)> segments = new((parts.Count * 2) + 1);
        int done = 0;
        foreach ((int start, int end) in parts)
        {
            if (done != start) segments.Add((done, start, invert));
            segments.Add((start, end, !invert));
            done = end;
        }

        if (done != text.Length) segments.Add((done, text.Length, invert));

        parts.Clear();
        bool backwards = behavior == SplitBehavior.MergedWithNext, previous = false;
        if (backwards) segments.Reverse();
        foreach ((int start, int end, bool isMatch) in segments)
        {
            bool merge = behavior switch
            {
                SplitBehavior.Contiguous => isMatch == previous,
                SplitBehavior.MergedWithPrevious or SplitBehavior.MergedWithNext => isMatch && !previous,
                _ => false,
            };
            previous = isMatch;
            if (behavior == SplitBehavior.Removed && isMatch) continue;
            if (merge && parts.Count > 0) parts[^1] = backwards ? (start, parts[^1].End) : (parts[^1].Start, end);
            else parts.Add((start, end));
        }

        if (backwards) parts.Reverse();
        return parts;
    }
}
