using System.Text.Json;
using Equip.Model;
using Equip.Model.Tokenizer;

namespace Equip.Tests.Tokenizer;

/// <summary>The default model's tokenizer against ids made by Hugging Face's.</summary>
internal sealed class BpeTokenizerGoldenTests
{
    private const int HeldOutTokens = 133882;

    private static readonly BpeTokenizer _tokenizer = BpeTokenizer.Load(LanguageModel.DefaultDirectory);

    private static IEnumerable<TestCaseData> Cases()
    {
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Fixtures", "golden.json")));
        foreach (JsonElement one in golden.RootElement.GetProperty("tokenizer_cases").EnumerateArray())
            yield return new TestCaseData(one.GetProperty("text").GetString(), Ids(one, "ids"), Ids(one, "ids_no_bos"), one.GetProperty("decoded").GetString());
    }

    [TestCaseSource(nameof(Cases))]
    public void EncodeAndDecode_GoldenCases_EqualHuggingFace(string text, int[] ids, int[] idsWithoutBos, string decoded)
    {
        Assert.That(_tokenizer.Encode(text), Is.EqualTo(ids));
        Assert.That(_tokenizer.Encode(text, addSpecialTokens: false), Is.EqualTo(idsWithoutBos));
        Assert.That(_tokenizer.Decode(ids), Is.EqualTo(decoded));
    }

    [Test]
    public void Encode_HeldOutText_CountsAsTheReference()
    {
        string text = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "EvalData", "heldout.txt"));
        int[] ids = _tokenizer.Encode(text, addSpecialTokens: false);
        Assert.That(ids, Has.Length.EqualTo(HeldOutTokens));
        Assert.That(_tokenizer.Decode(ids), Is.EqualTo(text));
    }

    [Test]
    public void Encode_FromSeveralThreads_SameIds()
    {
        string text = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "EvalData", "heldout.txt"))[..40_000];
        int[] expected = BpeTokenizer.Load(LanguageModel.DefaultDirectory).Encode(text);
        Parallel.For(0, 16, new ParallelOptions { MaxDegreeOfParallelism = 4 }, _ => Assert.That(_tokenizer.Encode(text), Is.EqualTo(expected)));
    }

    [Test]
    public void Load_DefaultModel_KnowsItsSpecialTokens()
    {
        using (Assert.EnterMultipleScope())
        {
            Assert.That(_tokenizer.VocabularySize, Is.EqualTo(4096));
            Assert.That(_tokenizer.BosTokenId, Is.Zero);
            Assert.That(_tokenizer.EosTokenId, Is.EqualTo(1));
            Assert.That(_tokenizer.IdOf("<|eos|>"), Is.EqualTo(1));
            Assert.That(_tokenizer.IdOf("no such token"), Is.Null);
            Assert.That(_tokenizer.TokenOf(2), Is.EqualTo("!"));
            Assert.That(_tokenizer.IsSpecial(1), Is.True);
            Assert.That(_tokenizer.IsSpecial(2), Is.False);
        }
    }

    [Test]
    public void Encode_SpecialTokenInText_BecomesItsId() =>
        Assert.That(_tokenizer.Encode("!<|eos|>!", addSpecialTokens: false), Is.EqualTo((int[])[2, 1, 2]));

    [Test]
    public void Encode_LoneSurrogate_BecomesReplacementCharacter() =>
        Assert.That(_tokenizer.Encode("a\uD83D b\uDE42"), Is.EqualTo(_tokenizer.Encode("a\uFFFD b\uFFFD")));

    [TestCase(-1)]
    [TestCase(4096)]
    public void Decode_IdOutsideVocabulary_Throws(int id)
    {
        Assert.That(() => _tokenizer.Decode([2, id]), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => _tokenizer.CreateStreamingDecoder().Add(id), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => _tokenizer.TokenOf(id), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    private static int[] Ids(JsonElement element, string name) => [.. element.GetProperty(name).EnumerateArray().Select(id => id.GetInt32())];
}
