using System.Text;
using Equip.Model.Tokenizer;

namespace Equip.Tests.Tokenizer;

/// <summary>Examples of UAX #15 and of the Unicode Standard, section 3.12, and the laws that all texts obey.</summary>
internal sealed class UnicodeNormalizerTests
{
    // Text, NFC, NFD, NFKC, NFKD.
    [TestCase("\u1E9B\u0323", "\u1E9B\u0323", "\u017F\u0323\u0307", "\u1E69", "s\u0323\u0307")]
    [TestCase("\uFB01", "\uFB01", "\uFB01", "fi", "fi")]
    [TestCase("\u212B", "\u00C5", "A\u030A", "\u00C5", "A\u030A")]
    [TestCase("q\u0307\u0323", "q\u0323\u0307", "q\u0323\u0307", "q\u0323\u0307", "q\u0323\u0307")]
    [TestCase("a\u0315\u0300\u05AE\u0300", "\u00E0\u05AE\u0300\u0315", "a\u05AE\u0300\u0300\u0315", "\u00E0\u05AE\u0300\u0315", "a\u05AE\u0300\u0300\u0315")]
    [TestCase("\uD4DB", "\uD4DB", "\u1111\u1171\u11B6", "\uD4DB", "\u1111\u1171\u11B6")]
    [TestCase("\u1112\u1161\u11AB\u1100", "\uD55C\u1100", "\u1112\u1161\u11AB\u1100", "\uD55C\u1100", "\u1112\u1161\u11AB\u1100")]
    [TestCase("\u0958", "\u0915\u093C", "\u0915\u093C", "\u0915\u093C", "\u0915\u093C", Description = "excluded from composition")]
    [TestCase("\u0344", "\u0308\u0301", "\u0308\u0301", "\u0308\u0301", "\u0308\u0301")]
    [TestCase("a\u030D\u0301", "a\u030D\u0301", "a\u030D\u0301", "a\u030D\u0301", "a\u030D\u0301", Description = "a mark of the same class blocks")]
    [TestCase("\u1100\u0323\u1161", "\u1100\u0323\u1161", "\u1100\u0323\u1161", "\u1100\u0323\u1161", "\u1100\u0323\u1161", Description = "a mark between blocks")]
    [TestCase("\uFF21\uFF5A\u2460\u00BD", "\uFF21\uFF5A\u2460\u00BD", "\uFF21\uFF5A\u2460\u00BD", "Az11\u20442", "Az11\u20442")]
    [TestCase("\U0001D4B3\U0002F81A", "\U0001D4B3\u51AC", "\U0001D4B3\u51AC", "X\u51AC", "X\u51AC")]
    [TestCase("\U00011099\U000110BA", "\U0001109A", "\U00011099\U000110BA", "\U0001109A", "\U00011099\U000110BA")]
    public void Normalize_Examples(string text, string nfc, string nfd, string nfkc, string nfkd)
    {
        using (Assert.EnterMultipleScope())
        {
            Assert.That(UnicodeNormalizer.Normalize(text, NormalizationForm.FormC), Is.EqualTo(nfc), "NFC");
            Assert.That(UnicodeNormalizer.Normalize(text, NormalizationForm.FormD), Is.EqualTo(nfd), "NFD");
            Assert.That(UnicodeNormalizer.Normalize(text, NormalizationForm.FormKC), Is.EqualTo(nfkc), "NFKC");
            Assert.That(UnicodeNormalizer.Normalize(text, NormalizationForm.FormKD), Is.EqualTo(nfkd), "NFKD");
        }
    }

    [Test]
    public void Normalize_RandomTexts_FormsAgree()
    {
        Random random = new(5);
        int[] marks = [0x300, 0x301, 0x307, 0x323, 0x328, 0x345, 0x5AE, 0x3099, 0x93C, 0x1D165];
        for (int round = 0; round < 3000; round++)
        {
            StringBuilder builder = new();
            for (int i = random.Next(12); i >= 0; i--)
            {
                int character = random.Next(3) switch { 0 => marks[random.Next(marks.Length)], 1 => random.Next(0x20, 0x2000), _ => random.Next(0x1F00, 0x30000) };
                if (character is < 0xD800 or > 0xDFFF) builder.Append(new Rune(character).ToString());
            }

            string text = builder.ToString();
            string nfc = UnicodeNormalizer.Normalize(text, NormalizationForm.FormC), nfd = UnicodeNormalizer.Normalize(text, NormalizationForm.FormD);
            string nfkc = UnicodeNormalizer.Normalize(text, NormalizationForm.FormKC), nfkd = UnicodeNormalizer.Normalize(text, NormalizationForm.FormKD);
            Assert.That(UnicodeNormalizer.Normalize(nfd, NormalizationForm.FormC), Is.EqualTo(nfc));
            Assert.That(UnicodeNormalizer.Normalize(nfc, NormalizationForm.FormD), Is.EqualTo(nfd));
            Assert.That(UnicodeNormalizer.Normalize(nfc, NormalizationForm.FormC), Is.EqualTo(nfc));
            Assert.That(UnicodeNormalizer.Normalize(nfd, NormalizationForm.FormKC), Is.EqualTo(nfkc));
            Assert.That(UnicodeNormalizer.Normalize(nfkc, NormalizationForm.FormKD), Is.EqualTo(nfkd));
        }
    }

    [TestCase("ÀΣİ\U00010400", "àσi\u0307\U00010428")]
    public void Lowercase_CharacterByCharacter(string text, string lower)
    {
        Func<string, string> normalize = JsonField.Parse("""{"type": "Lowercase"}"""u8.ToArray(), "tokenizer.json", Normalizers.Read);
        Assert.That(normalize(text), Is.EqualTo(lower));
    }

    [Test]
    public void Sequence_StepsInOrder_EmptyTextGetsNoPrefix()
    {
        const string Json = """
            {"type": "Sequence", "normalizers": [
              {"type": "Replace", "pattern": {"String": "ab"}, "content": "b"},
              {"type": "Prepend", "prepend": "_"},
              {"type": "Replace", "pattern": {"String": "b"}, "content": "c"}]}
            """;
        Func<string, string> normalize = JsonField.Parse(Encoding.UTF8.GetBytes(Json), "tokenizer.json", Normalizers.Read);
        Assert.That(normalize("aab"), Is.EqualTo("_ac"));
        Assert.That(normalize(""), Is.Empty);
    }
}
