using Equip.Model.Tokenizer;

namespace Equip.Tests.Tokenizer;

/// <summary>Small tokenizers in the shapes of the known families, with tokens worked out by hand.</summary>
internal sealed class BpeTokenizerFamiliesTests
{
    private const string LlamaTemplate = """
        {"type": "TemplateProcessing",
         "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
         "pair": [],
         "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
        """;

    private const string SpaceToMark = """
        {"type": "Sequence", "normalizers": [
          {"type": "Prepend", "prepend": "▁"},
          {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
        """;

    private const string MarkToSpace = """
        {"type": "Sequence", "decoders": [
          {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
          {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
        """;

    // Rank order: lo, low, er, Ġlow, Ġn, ew
    private static readonly string[] _merges = ["l o", "lo w", "e r", "Ġ low", "Ġ n", "e w"];

    [TestCase("low lower", "low|Ġlow|er")]
    [TestCase("  new", "Ġ|Ġn|ew")]
    [TestCase("it's low's", "i|t|'|s|Ġlow|'|s")]
    [TestCase("LOW low!?", "L|O|W|Ġlow|!|?")]
    [TestCase("low1234 low", "low|1|2|3|4|Ġlow")]
    [TestCase("low \n\n low  ", "low|Ġ|Ċ|Ċ|Ġlow|Ġ|Ġ")]
    [TestCase("é", "Ã|©")]
    [TestCase("🙂low", "ð|Ł|Ļ|Ĥ|low")]
    public void Gpt2_Tokens(string text, string tokens)
    {
        BpeTokenizer tokenizer = TokenizerFile.Bytes(_merges).WithByteLevel().Build();
        Assert.That(TokenizerFile.Tokens(tokenizer, text), Is.EqualTo(tokens));
        Assert.That(tokenizer.Decode(tokenizer.Encode(text)), Is.EqualTo(text));
    }

    // A merge across the border of two pieces must not happen: "lo" and "w" are cut apart by the digit rule.
    [TestCase("low1234", "low|12|3|4")]
    [TestCase("it'S LOW'lL", "i|t|'|S|Ġ|L|O|W|'|l|L")]
    [TestCase("a.low", "a|.|low")]
    [TestCase("a\r\n low", "a|č|Ċ|Ġlow")]
    [TestCase("!!\n low", "!|!|Ċ|Ġlow")]
    public void Llama3_Tokens(string text, string tokens)
    {
        BpeTokenizer tokenizer = TokenizerFile.Bytes([.. _merges, "1 2", "3 4"]).WithByteLevel(TokenizerFile.Llama3Pattern).Build();
        Assert.That(TokenizerFile.Tokens(tokenizer, text), Is.EqualTo(tokens));
    }

    [Test]
    public void Llama3_IgnoreMerges_WholePieceWinsWithoutItsMerges()
    {
        // "Ġnew" is in the vocabulary, but no merge makes it.
        TokenizerFile file = new([.. TokenizerFile.ByteAlphabet, "Ġnew", "ew", "Ġn"], "Ġ n", "e w");
        file.WithByteLevel(TokenizerFile.Llama3Pattern);
        Assert.That(TokenizerFile.Tokens(file.Build(), "a new"), Is.EqualTo("a|Ġn|ew"));
        Assert.That(TokenizerFile.Tokens(file.WithModel("ignore_merges", true).Build(), "a new"), Is.EqualTo("a|Ġnew"));
    }

    [Test]
    public void Llama3_ByteLevelThenTemplate_BosComesFirst()
    {
        BpeTokenizer tokenizer = TokenizerFile.Bytes().WithByteLevel(TokenizerFile.Llama3Pattern)
            .WithAdded(256, "<|begin|>").WithAdded(257, "<|end|>")
            .With("post_processor", """
                {"type": "Sequence", "processors": [{"type": "ByteLevel"},
                 {"type": "TemplateProcessing", "pair": [],
                  "single": [{"SpecialToken": {"id": "B", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "E", "type_id": 0}}],
                  "special_tokens": {"B": {"id": "B", "ids": [256], "tokens": ["<|begin|>"]}, "E": {"id": "E", "ids": [257, 257], "tokens": ["<|end|>", "<|end|>"]}}}]}
                """).Build("""{"bos_token": {"content": "<|begin|>", "special": true}, "eos_token": null}""");
        Assert.That(TokenizerFile.Tokens(tokenizer, "a<|end|>", addSpecialTokens: true), Is.EqualTo("<|begin|>|a|<|end|>|<|end|>|<|end|>"));
        Assert.That(TokenizerFile.Tokens(tokenizer, "a<|end|>"), Is.EqualTo("a|<|end|>"));
        Assert.That(tokenizer.Decode(tokenizer.Encode("a<|end|>")), Is.EqualTo("a"));
        Assert.That(tokenizer.Decode(tokenizer.Encode("a"), skipSpecialTokens: false), Is.EqualTo("<|begin|>a<|end|><|end|>"));
        Assert.That(tokenizer.BosTokenId, Is.EqualTo(256));
        Assert.That(tokenizer.EosTokenId, Is.Null);
    }

    [TestCase("low12", "low|1|2")]
    [TestCase("e\u0301", "Ã|©", Description = "NFC composes e and the accent")]
    [TestCase("<|im_start|>low", "<|im_start|>|low")]
    public void Qwen2_Tokens(string text, string tokens)
    {
        BpeTokenizer tokenizer = TokenizerFile.Bytes([.. _merges, "1 2"]).WithByteLevel(TokenizerFile.Qwen2Pattern)
            .With("normalizer", """{"type": "NFC"}""").WithAdded(256 + _merges.Length + 1, "<|im_start|>").Build();
        Assert.That(TokenizerFile.Tokens(tokenizer, text), Is.EqualTo(tokens));
    }

    // The merge of "▁ ▁" shows that without a pre-tokenizer merges do cross words.
    [TestCase("low", "▁low")]
    [TestCase("low low", "▁low|▁low")]
    [TestCase("low  low", "▁low|▁▁|low")]
    [TestCase(" low", "▁▁|low")]
    [TestCase("é", "▁|<0xC3>|<0xA9>")]
    [TestCase("low\n", "▁low|<0x0A>")]
    [TestCase("</s>low", "</s>|▁low")]
    [TestCase("", "")]
    public void Llama2_Tokens(string text, string tokens)
    {
        BpeTokenizer tokenizer = Llama2().Build();
        Assert.That(TokenizerFile.Tokens(tokenizer, text), Is.EqualTo(tokens));
        Assert.That(tokenizer.Encode(text), Is.EqualTo((int[])[1, .. tokenizer.Encode(text, addSpecialTokens: false)]));
        if (!text.Contains("</s>", StringComparison.Ordinal)) Assert.That(tokenizer.Decode(tokenizer.Encode(text)), Is.EqualTo(text));
    }

    [TestCase("always", "low</s>low", "▁low|</s>|▁low")]
    [TestCase("first", "low</s>low", "▁low|</s>|low")]
    [TestCase("first", "</s>low low", "</s>|low|▁low")]
    [TestCase("first", " low", "▁low")]
    [TestCase("never", "low low", "low|▁low")]
    public void Mistral_MetaspacePreTokenizer_Tokens(string scheme, string text, string tokens)
    {
        string metaspace = $$"""{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "{{scheme}}", "split": true}""";
        BpeTokenizer tokenizer = Llama2().With("normalizer", "null").With("pre_tokenizer", metaspace).With("decoder", metaspace).Build();
        Assert.That(TokenizerFile.Tokens(tokenizer, text), Is.EqualTo(tokens));
    }

    [Test]
    public void MetaspaceDecoder_FirstTokenLosesItsMarks_OthersBecomeSpaces()
    {
        BpeTokenizer tokenizer = Llama2().With("decoder", """{"type": "Metaspace", "replacement": "▁", "add_prefix_space": true}""").Build();
        int mark = tokenizer.IdOf("▁▁")!.Value, word = tokenizer.IdOf("▁low")!.Value;
        Assert.That(tokenizer.Decode([word, mark, word]), Is.EqualTo("low   low"));
        Assert.That(tokenizer.Decode([mark, word]), Is.EqualTo(" low"));
    }

    [Test]
    public void UnknownCharacters_FusedOrNot()
    {
        TokenizerFile file = new(["<unk>", "a", "b"]);
        file.WithModel("unk_token", "<unk>");
        Assert.That(file.Build().Encode("axyb"), Is.EqualTo((int[])[1, 0, 0, 2]));
        Assert.That(file.WithModel("fuse_unk", true).Build().Encode("axybz"), Is.EqualTo((int[])[1, 0, 2, 0]));
        Assert.That(file.WithModel("unk_token", null).Build().Encode("axyb"), Is.EqualTo((int[])[1, 2]), "without an unknown token they are dropped");
    }

    [Test]
    public void Merges_OfEqualRank_LeftmostFirst()
    {
        BpeTokenizer tokenizer = new TokenizerFile(["a", "aa", "aaa"], "a a", "aa a").Build();
        Assert.That(TokenizerFile.Tokens(tokenizer, "aaaa"), Is.EqualTo("aa|aa"));
        Assert.That(TokenizerFile.Tokens(tokenizer, "aaaaa"), Is.EqualTo("aa|aaa"));
    }

    [Test]
    public void Merges_AsPairs_MayHoldSpaces()
    {
        TokenizerFile file = new([" ", "a", " a"]);
        file.Model["merges"] = System.Text.Json.Nodes.JsonNode.Parse("""[[" ", "a"]]""");
        Assert.That(TokenizerFile.Tokens(file.Build(), "a a"), Is.EqualTo("a| a"));
    }

    private static TokenizerFile Llama2()
    {
        IEnumerable<string> bytes = Enumerable.Range(0, 256).Select(value => $"<0x{value:X2}>");
        TokenizerFile file = new(["<unk>", "<s>", "</s>", .. bytes, "l", "o", "w", "▁", "lo", "low", "▁▁", "▁low"], "l o", "lo w", "▁ ▁", "▁ low");
        return file.WithModel("byte_fallback", true).WithModel("unk_token", "<unk>").WithModel("fuse_unk", true)
            .WithAdded(0, "<unk>").WithAdded(1, "<s>").WithAdded(2, "</s>")
            .With("normalizer", SpaceToMark).With("decoder", MarkToSpace).With("post_processor", LlamaTemplate);
    }
}
