namespace Equip.Tests.Tokenizer;

internal sealed class PreTokenizersTests
{
    [TestCase("Removed", "a|b|c")]
    [TestCase("Isolated", "a|-|b|-|-|c")]
    [TestCase("MergedWithPrevious", "a-|b-|-|c")]
    [TestCase("MergedWithNext", "a|-b|-|-c")]
    [TestCase("Contiguous", "a|-|b|--|c")]
    public void Split_EachBehaviour_CutsAsDocumented(string behavior, string pieces)
    {
        Assert.That(Split("\"String\": \"-\"", behavior, "a-b--c"), Is.EqualTo(pieces));
        Assert.That(Split("\"Regex\": \"-\"", behavior, "a-b--c"), Is.EqualTo(pieces));
        Assert.That(Split("\"Regex\": \"[^-]+\"", behavior, "a-b--c", invert: true), Is.EqualTo(behavior == "Contiguous" ? pieces : Split("\"Regex\": \"-+\"", behavior, "a-b--c")));
    }

    [Test]
    public void Split_InvertedAndRemoved_KeepsTheMatches() =>
        Assert.That(Split("\"Regex\": \"[a-z]+\"", "Removed", "ab, cd!", invert: true), Is.EqualTo("ab|cd"));

    [TestCase(TokenizerFile.Llama3Pattern, "a 12345b", "a| |123|45|b")]
    [TestCase(TokenizerFile.Qwen2Pattern, "a 123", "a| |1|2|3")]
    [TestCase(TokenizerFile.Qwen2Pattern, "I'M'x it'sa", "I|'M|'x| it|'s|a")]
    [TestCase(TokenizerFile.Qwen2Pattern, "a'ſb'\u017F", "a|'ſ|b|'ſ", Description = "long s is an s without case")]
    [TestCase(TokenizerFile.Qwen2Pattern, "a   b  \n\n c  ", "a|  | b|  \n\n| c|  ")]
    [TestCase(TokenizerFile.Qwen2Pattern, "x\u00A0\u00A0y\u3000", "x|\u00A0|\u00A0y|\u3000")]
    [TestCase(TokenizerFile.Qwen2Pattern, "$5.00 (ok)\r\nfoo_bar", "$|5|.|0|0| (|ok|)\r\n|foo|_bar")]
    public void Split_KnownPatterns_Pieces(string pattern, string text, string pieces) =>
        Assert.That(Split($"\"Regex\": {System.Text.Json.JsonSerializer.Serialize(pattern)}", "Isolated", text), Is.EqualTo(pieces));

    // U+1D4B3 is a letter, U+1D7CF a digit, U+20000 a letter, U+1F642 a symbol: two UTF-16 units each.
    [TestCase("a\U0001D4B3\U00020000b", "a\U0001D4B3\U00020000b")]
    [TestCase("a\U0001D7CF\U0001D7CFb", "a|\U0001D7CF|\U0001D7CF|b")]
    [TestCase("a \U0001F642\U0001F642 b", "a| \U0001F642\U0001F642| b")]
    [TestCase("\U0001F642b c", "\U0001F642b| c")]
    public void Split_CharactersAboveTheBmp_KeepTheirCategory(string text, string pieces) =>
        Assert.That(Split($"\"Regex\": {System.Text.Json.JsonSerializer.Serialize(TokenizerFile.Qwen2Pattern)}", "Isolated", text), Is.EqualTo(pieces));

    [TestCase("a12½b٣", true, "a|1|2|½|b|٣")]
    [TestCase("a12½b٣", false, "a|12½|b|٣")]
    [TestCase("a\U0001D7CFⅧb", false, "a|\U0001D7CFⅧ|b")]
    public void Digits_AnyNumber_IsCut(string text, bool individual, string pieces) =>
        Assert.That(Joined($$"""{"type": "Digits", "individual_digits": {{(individual ? "true" : "false")}}}""", text), Is.EqualTo(pieces));

    [Test]
    public void Whitespace_WordsAndPunctuation() =>
        Assert.That(Joined("""{"type": "Whitespace"}""", "Hé, a_b\u0903\U00020000 \u24B6?!\n3"), Is.EqualTo("Hé|,|a_b\u0903\U00020000|\u24B6|?!|3"));

    [Test]
    public void WhitespaceSplit_OnlyWhiteSpaceCuts() =>
        Assert.That(Joined("""{"type": "WhitespaceSplit"}""", " a,b\u2003c\n\n"), Is.EqualTo("a,b|c"));

    [Test]
    public void ByteLevel_PrefixSpace_OnlyWhereNoneIs()
    {
        const string Json = """{"type": "ByteLevel", "add_prefix_space": true, "use_regex": true}""";
        Assert.That(Joined(Json, "a b"), Is.EqualTo("Ġa|Ġb"));
        Assert.That(Joined(Json, " a b"), Is.EqualTo("Ġa|Ġb"));
    }

    [Test]
    public void ByteLevel_AllBytes_WrittenAsTheAlphabet()
    {
        const string Json = """{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}""";
        string text = string.Concat(Enumerable.Range(0, 0x800).Select(value => (char)value));
        string expected = string.Concat(System.Text.Encoding.UTF8.GetBytes(text).Select(value => TokenizerFile.ByteAlphabet[value]));
        Assert.That(Joined(Json, text), Is.EqualTo(expected));
    }

    [Test]
    public void Sequence_StepsAfterByteLevel_SeeItsCharacters()
    {
        const string Json = """
            {"type": "Sequence", "pretokenizers": [
              {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
              {"type": "Split", "pattern": {"String": "Ġ"}, "behavior": "Isolated", "invert": false}]}
            """;
        Assert.That(Joined(Json, "a b"), Is.EqualTo("a|Ġ|b"));
    }

    private static string Split(string pattern, string behavior, string text, bool invert = false) =>
        Joined($$"""{"type": "Split", "pattern": { {{pattern}} }, "behavior": "{{behavior}}", "invert": {{(invert ? "true" : "false")}}}""", text);

    private static string Joined(string preTokenizer, string text) => string.Join('|', TokenizerFile.Pieces(preTokenizer, text).Where(piece => piece.Length > 0));
}
