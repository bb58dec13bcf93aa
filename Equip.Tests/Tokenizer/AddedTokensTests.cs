namespace Equip.Tests.Tokenizer;

internal sealed class AddedTokensTests
{
    [TestCase("<a><ab>", "<a>|<ab>")]
    [TestCase("<abc", "<ab|c", Description = "the longest of those that start first")]
    [TestCase("x<<a>", "x|<|<a>")]
    [TestCase("<a", "<|a")]
    public void Encode_SeveralTokensFit_LeftmostThenLongest(string text, string tokens) =>
        Assert.That(Tokens(text, ("<a>", ""), ("<ab", ""), ("<ab>", "")), Is.EqualTo(tokens));

    [TestCase("a  <l>  b", "a|<l>|Ġ|Ġ|b")]
    [TestCase("a  <r>\n\tb", "a|Ġ|Ġ|<r>|b")]
    [TestCase("a <r> <l> b", "a|Ġ|<r>|<l>|Ġ|b", Description = "white space is swallowed once")]
    [TestCase(" <l>", "<l>")]
    [TestCase("<r> ", "<r>")]
    public void Encode_Strip_SwallowsWhiteSpace(string text, string tokens) =>
        Assert.That(Tokens(text, ("<l>", "\"lstrip\": true"), ("<r>", "\"rstrip\": true")), Is.EqualTo(tokens));

    [TestCase("on", "on")]
    [TestCase("on on,on", "on|Ġ|on|,|on")]
    [TestCase("upon on1 _on", "u|p|o|n|Ġ|o|n|1|Ġ|_|o|n")]
    [TestCase("é on\u0301", "Ã|©|Ġ|o|n|Ì|ģ", Description = "a mark belongs to the word")]
    [TestCase("\U00020000on", "ð|ł|Ģ|Ģ|o|n", Description = "a letter of two UTF-16 units")]
    public void Encode_SingleWord_OnlyBetweenOthers(string text, string tokens) =>
        Assert.That(Tokens(text, ("on", "\"single_word\": true")), Is.EqualTo(tokens));

    // <N> is looked for in lower-case text, as <n>; <R> in the text as it comes.
    [TestCase("<N><n>", "<N>|<N>")]
    [TestCase("<R><r>", "<R>|<|r|>")]
    public void Encode_Normalized_LooksAtNormalisedText(string text, string tokens)
    {
        TokenizerFile file = TokenizerFile.Bytes().WithByteLevel().With("normalizer", """{"type": "Lowercase"}""");
        file.WithAdded(256, "<N>", "\"normalized\": true").WithAdded(257, "<R>", "\"normalized\": false");
        Assert.That(TokenizerFile.Tokens(file.Build(), text), Is.EqualTo(tokens));
    }

    [Test]
    public void Encode_TokenOfTheVocabulary_KeepsItsId()
    {
        TokenizerFile file = new(["a", "<s>", "b"]);
        Assert.That(file.WithAdded(1, "<s>").Build().Encode("a<s>b"), Is.EqualTo((int[])[0, 1, 2]));
    }

    private static string Tokens(string text, params (string Content, string Flags)[] added)
    {
        TokenizerFile file = TokenizerFile.Bytes().WithByteLevel();
        for (int i = 0; i < added.Length; i++) file.WithAdded(256 + i, added[i].Content, "\"normalized\": false" + (added[i].Flags.Length > 0 ? ", " + added[i].Flags : ""));
        return TokenizerFile.Tokens(file.Build(), text);
    }
}
