namespace Equip.Model.Tokenizer;

/// <summary>SentencePiece's way to keep spaces: each becomes a mark (U+2581 as a rule), and text may get one put before it.</summary>
/// <param name="Mark">The mark.</param>
/// <param name="Scheme">Whether text that does not start with a mark gets one: at the input's start, always, never.</param>
/// <param name="Split">Whether text is cut before each mark.</param>
internal sealed record Metaspace(char Mark, string Scheme, bool Split)
{
    private readonly MatchFinder _marks = Matchers.Literal(Mark.ToString());

    /// <summary>Reads the pre-tokenizer or decoder of this name.</summary>
    public static Metaspace Read(JsonField field)
    {
        JsonField schemeField = field["prepend_scheme"], prefix = field["add_prefix_space"];
        string scheme = schemeField.IsNull ? prefix.Flag(true) ? "always" : "never" : schemeField.Text();
        if (scheme is not ("first" or "always" or "never")) throw schemeField.Error($"got {scheme}, expected first, always or never");
        if (!prefix.Flag(true) && scheme != "never") throw prefix.Error($"is false, but prepend_scheme is {scheme}");
        return new Metaspace(field["replacement"].Character(), scheme, field["split"].Flag(true));
    }

    public void PreTokenize(in Piece piece, List<Piece> output)
    {
        string text = piece.Span.ToString().Replace(' ', Mark);
        if (text[0] != Mark && (Scheme == "always" || (Scheme == "first" && piece.AtStart))) text = Mark + text;
        if (!Split)
        {
            output.Add(new Piece(text, 0, text.Length, piece.AtStart));
            return;
        }

        foreach ((int start, int end) in Splitter.Split(text, _marks, SplitBehavior.MergedWithNext, false))
            output.Add(new Piece(text, start, end - start, piece.AtStart && start == 0));
    }
}
