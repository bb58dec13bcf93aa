using System.Text;
using System.Text.Json.Nodes;
using Equip.Model;
using Equip.Model.Tokenizer;

namespace Equip.Tests.Tokenizer;

/// <summary>Broken and unsupported files, each with the field that its error must name.</summary>
internal sealed class BadTokenizerFilesTests
{
    private static IEnumerable<TestCaseData> Files()
    {
        // What is wrong, the replacement of one section, the field, words of the message.
        yield return Section("UnigramModel", "model", """{"type": "Unigram", "vocab": []}""", "model.type", "Unigram is not supported");
        yield return Section("WordPieceModel", "model", """{"type": "WordPiece", "vocab": {}}""", "model.type", "WordPiece is not supported");
        yield return Section("NoModel", "model", "null", "model", "expected an object");
        yield return Section("ModelIsList", "model", "[]", "model", "expected an object");
        yield return Model("NoVocabulary", "vocab", "null", "model.vocab", "expected an object");
        yield return Model("NoMerges", "merges", "null", "model.merges", "expected an array");
        yield return Model("NegativeId", "vocab", """{"a": -1, "b": 1}""", "model.vocab.a", "got -1, expected an integer from 0");
        yield return Model("FractionalId", "vocab", """{"a": 0.5}""", "model.vocab.a", "got 0.5");
        yield return Model("IdIsText", "vocab", """{"a": "0"}""", "model.vocab.a", "expected a number");
        yield return Model("HugeId", "vocab", """{"a": 0, "b": 99999999999}""", "model.vocab.b", "got 99999999999");
        yield return Model("IdTwice", "vocab", """{"a": 0, "b": 0, "ab": 1}""", "model", "both have id 0");
        yield return Model("IdMissing", "vocab", """{"a": 0, "b": 1, "ab": 2000000000}""", "model", "expected ids from 0 to 2");
        yield return Model("MergeOfUnknownToken", "merges", """["a x"]""", "model.merges[0]", "\"x\" is not in model.vocab");
        yield return Model("MergeIntoUnknownToken", "merges", """["a b", "b a"]""", "model.merges[1]", "\"ba\" is not in model.vocab");
        yield return Model("MergeOfThree", "merges", """["a b ab"]""", "model.merges[0]", "got 3 parts");
        yield return Model("MergePairOfOne", "merges", """[["a"]]""", "model.merges[0]", "got 1 parts");
        yield return Model("MergeIsNumber", "merges", "[1]", "model.merges[0]", "expected an array");
        yield return Model("UnknownTokenUnknown", "unk_token", "\"<unk>\"", "model.unk_token", "is not in model.vocab");
        yield return Model("Prefix", "continuing_subword_prefix", "\"##\"", "model.continuing_subword_prefix", "not supported");
        yield return Model("Suffix", "end_of_word_suffix", "\"</w>\"", "model.end_of_word_suffix", "not supported");
        yield return Model("Dropout", "dropout", "0.1", "model.dropout", "not supported");
        yield return Model("FlagIsText", "byte_fallback", "\"yes\"", "model.byte_fallback", "expected true or false");
        yield return Section("AddedIdTaken", "added_tokens", """[{"id": 1, "content": "<s>"}]""", "added_tokens", "both have id 1");
        yield return Section("AddedIdDiffers", "added_tokens", """[{"id": 3, "content": "a"}]""", "added_tokens", "has id 3 here and 0 elsewhere");
        yield return Section("AddedIdFarAway", "added_tokens", """[{"id": 5, "content": "<s>"}]""", "added_tokens", "expected ids from 0 to 3");
        yield return Section("AddedWithoutContent", "added_tokens", """[{"id": 3}]""", "added_tokens[0].content", "got nothing, expected a string");
        yield return Section("AddedEmpty", "added_tokens", """[{"id": 3, "content": ""}]""", "added_tokens[0].content", "is empty");
        yield return Section("NormalizerUnsupported", "normalizer", """{"type": "BertNormalizer"}""", "normalizer.type", "BertNormalizer is not supported");
        yield return Section("NormalizerPrecompiled", "normalizer", """{"type": "Sequence", "normalizers": [{"type": "Precompiled"}]}""", "normalizer.normalizers[0].type", "Precompiled is not supported");
        yield return Section("NormalizerRegex", "normalizer", """{"type": "Replace", "pattern": {"Regex": "a"}, "content": ""}""", "normalizer.pattern", "Regex is not supported");
        yield return Section("NormalizerReplacesNothing", "normalizer", """{"type": "Replace", "pattern": {"String": ""}, "content": "a"}""", "normalizer.pattern.String", "is empty");
        yield return Section("PreTokenizerUnsupported", "pre_tokenizer", """{"type": "BertPreTokenizer"}""", "pre_tokenizer.type", "BertPreTokenizer is not supported");
        yield return Section("SplitBehaviorUnknown", "pre_tokenizer", """{"type": "Split", "pattern": {"String": "a"}, "behavior": "1"}""", "pre_tokenizer.behavior", "expected Removed, Isolated");
        yield return Section("SplitScript", "pre_tokenizer", """{"type": "Split", "pattern": {"Regex": "\\p{Han}"}, "behavior": "Isolated"}""", "pre_tokenizer.pattern.Regex", "the property Han is not supported");
        yield return Section("SplitBrokenRegex", "pre_tokenizer", """{"type": "Split", "pattern": {"Regex": "[z-a]"}, "behavior": "Isolated"}""", "pre_tokenizer.pattern.Regex", "range");
        yield return Section("SplitWithoutPattern", "pre_tokenizer", """{"type": "Split", "behavior": "Isolated"}""", "pre_tokenizer.pattern", "expected an object");
        yield return Section("MetaspaceOfTwo", "pre_tokenizer", """{"type": "Metaspace", "replacement": "__"}""", "pre_tokenizer.replacement", "expected one character");
        yield return Section("MetaspaceScheme", "pre_tokenizer", """{"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"}""", "pre_tokenizer.prepend_scheme", "got last");
        yield return Section("MetaspaceContradiction", "pre_tokenizer", """{"type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "add_prefix_space": false}""", "pre_tokenizer.add_prefix_space", "prepend_scheme is first");
        yield return Section("PostProcessorUnsupported", "post_processor", """{"type": "RobertaProcessing"}""", "post_processor.type", "RobertaProcessing is not supported");
        yield return Section("TemplateWithoutText", "post_processor", """{"type": "TemplateProcessing", "single": []}""", "post_processor.single", "must hold sequence A");
        yield return Section("TemplateOfB", "post_processor", """{"type": "TemplateProcessing", "single": [{"Sequence": {"id": "B"}}]}""", "post_processor.single[0]", "sequence A once");
        yield return Section("TemplateUnknownToken", "post_processor", """{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "X"}}], "special_tokens": {}}""", "post_processor.special_tokens.X", "expected an object");
        yield return Section("TemplateIdOutside", "post_processor", """{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "X"}}], "special_tokens": {"X": {"ids": [3]}}}""", "post_processor.special_tokens.X.ids[0]", "expected an integer from 0 to 2");
        yield return Section("DecoderUnsupported", "decoder", """{"type": "CTC"}""", "decoder.type", "CTC is not supported");
        yield return Section("DecoderOrder", "decoder", """{"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "Replace", "pattern": {"String": "a"}, "content": "b"}]}""", "decoder.decoders[1].type", "after the decoders before it");
        yield return Section("DecoderStripNegative", "decoder", """{"type": "Strip", "content": " ", "start": -1, "stop": 0}""", "decoder.start", "got -1");
    }

    [TestCaseSource(nameof(Files))]
    public void Parse_BadFile_NamesFileAndField(JsonObject root, string field, string words)
    {
        ModelFormatException error = Assert.Throws<ModelFormatException>(() => BpeTokenizer.Parse(Encoding.UTF8.GetBytes(root.ToJsonString())))!;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(error.File, Is.EqualTo("tokenizer.json"));
            Assert.That(error.Field, Is.EqualTo(field));
            Assert.That(error.Message, Does.Contain(words).And.Not.Contain("\n"));
        }
    }

    [TestCase("", "JSON")]
    [TestCase("{", "JSON")]
    [TestCase("[]", "root")]
    [TestCase("{\"model\": {}, \"model\": {}}", "JSON", Description = "two parsers might take different ones")]
    [TestCase("{\"model\": {\"type\": \"\\ud800\"}}", "model.type")]
    [TestCase("{\"model\": {\"vocab\": {\"\\ud800\": 0}, \"merges\": []}}", "JSON")]
    [TestCase("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"a\": 1}, \"merges\": []}}", "JSON")]
    public void Parse_BrokenJson_NamesThePlace(string json, string field) =>
        Assert.That(() => BpeTokenizer.Parse(Encoding.UTF8.GetBytes(json)), Throws.TypeOf<ModelFormatException>().With.Property("Field").EqualTo(field));

    [Test]
    public void Parse_NotUtf8_IsRefused() =>
        Assert.That(() => BpeTokenizer.Parse([(byte)'{', (byte)'"', 0xE3, (byte)'"', (byte)':', (byte)'1', (byte)'}']), Throws.TypeOf<ModelFormatException>().With.Message.Contains("not UTF-8"));

    [Test]
    public void Parse_DeepNesting_IsRefused()
    {
        string nested = string.Concat(Enumerable.Repeat("{\"type\":\"Sequence\",\"normalizers\":[", 10_000));
        Assert.That(() => BpeTokenizer.Parse(Encoding.UTF8.GetBytes($"{{\"normalizer\":{nested}")), Throws.TypeOf<ModelFormatException>());
    }

    [TestCase("""{"bos_token": "<nowhere>"}""", "bos_token")]
    [TestCase("""{"eos_token": {"content": 1}}""", "eos_token.content")]
    [TestCase("[]", "root")]
    public void Parse_BadConfig_NamesFileAndField(string config, string field)
    {
        ModelFormatException error = Assert.Throws<ModelFormatException>(() => Good().Build(config))!;
        Assert.That((error.File, error.Field), Is.EqualTo(("tokenizer_config.json", field)));
    }

    [Test]
    public void Load_FolderWithoutFile_NamesIt()
    {
        string folder = Path.Combine(TestContext.CurrentContext.WorkDirectory, "no-such-folder");
        ModelFormatException error = Assert.Throws<ModelFormatException>(() => BpeTokenizer.Load(folder))!;
        Assert.That(error.File, Is.EqualTo(Path.Combine(folder, "tokenizer.json")));
    }

    [Test]
    public void Parse_FileWithoutFaults_Loads() => Assert.That(Good().Build().Encode("ab"), Is.EqualTo((int[])[2]));

    private static TokenizerFile Good() => new(["a", "b", "ab"], "a b");

    private static TestCaseData Section(string name, string section, string json, string field, string words) =>
        new TestCaseData(Good().With(section, json).Root, field, words).SetArgDisplayNames(name);

    private static TestCaseData Model(string name, string member, string json, string field, string words)
    {
        TokenizerFile file = Good();
        file.Model[member] = JsonNode.Parse(json);
        return new TestCaseData(file.Root, field, words).SetArgDisplayNames(name);
    }
}
