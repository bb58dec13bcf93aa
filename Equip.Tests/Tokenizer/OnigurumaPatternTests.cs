using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Equip.Model.Tokenizer;

namespace Equip.Tests.Tokenizer;

internal sealed class OnigurumaPatternTests
{
    // Each pattern with a text and its matches, by Oniguruma's rules.
    [TestCase(@"a++b|a", "aab aa", "aab|a|a")]
    [TestCase(@"a?+a", "aa", "aa")]
    [TestCase(@"\p{L}*+\d", "ab1c", "ab1")]
    [TestCase(@"(?:ab)*+a", "ababa", "ababa")]
    [TestCase(@"a{,2}b", "aaab", "aab")]
    [TestCase(@"a{2,}?b", "aaab", "aaab")]
    [TestCase(@"[^\w]+", "a\u0903\u2167\u24B6\U0001F170\u00BD_1!?\u2460", "\u00BD|!?\u2460")]
    [TestCase(@"\W+", "a\u0903\u2167\u24B6\U0001F170\u00BD_1!?\u2460", "!?\u2460")]
    [TestCase(@"\w+", "a\u0903\u2167\u24B6_1!?", "a\u0903\u2167\u24B6_1")]
    [TestCase(@"\W", "a!b", "!")]
    [TestCase(@"(?i:s[st]k)x", "SſKx sſkX \u017F\u017F\u212Ax", "SſKx|\u017F\u017F\u212Ax")]
    [TestCase(@"\p{^L}\P{^L}", "1a", "1a")]
    [TestCase(@"[\x41\u0042\x{43}\-\]-]", "A-B]Cx", "A|-|B|]|C")]
    [TestCase(@"[a-c-]+", "ab-cd", "ab-c")]
    [TestCase(@"^b$", "a\nb\nc", "b")]
    [TestCase(@"(a)(?=b)|(?<!a)b", "ab b", "a|b")]
    public void Translate_SupportedSyntax_MatchesAsOniguruma(string pattern, string text, string matches)
    {
        List<(int Start, int End)> found = [];
        Matchers.Regex(pattern)(text, found);
        Assert.That(string.Join('|', found.Select(match => text[match.Start..match.End])), Is.EqualTo(matches));
    }

    [TestCase(@"\p{Han}")]
    [TestCase(@"\p{l}")]
    [TestCase(@"\pL")]
    [TestCase(@"[a&&[b]]")]
    [TestCase(@"[[:alpha:]]")]
    [TestCase(@"[]")]
    [TestCase(@"[a")]
    [TestCase(@"[a-")]
    [TestCase(@"[\s-a]")]
    [TestCase(@"[a-\s]")]
    [TestCase(@"(?i:[a-z])")]
    [TestCase(@"(?i:é)")]
    [TestCase(@"(?i)a")]
    [TestCase(@"(?m:a)")]
    [TestCase(@"(?<name>a)")]
    [TestCase(@"(a)\1")]
    [TestCase(@"\bword")]
    [TestCase(@"\h")]
    [TestCase(@"\X")]
    [TestCase(@"\xE9")]
    [TestCase(@"\x{1F600}")]
    [TestCase(@"\u12")]
    [TestCase(@"\x{41")]
    [TestCase("\U0001F600")]
    [TestCase(@"a**")]
    [TestCase(@"a{2}?")]
    [TestCase(@"a{x}")]
    [TestCase(@"a{}")]
    [TestCase(@"a{1")]
    [TestCase(@"*a")]
    [TestCase(@"(a")]
    [TestCase(@"a)")]
    [TestCase(@"a\")]
    public void Translate_OtherSyntax_Refused(string pattern) => Assert.That(() => OnigurumaPattern.Translate(pattern), Throws.TypeOf<FormatException>());

    [Test]
    public void Translate_EveryAsciiSign_StandsForItself()
    {
        for (char sign = ' '; sign < '\u007F'; sign++)
        {
            string escaped = OnigurumaPattern.Translate(char.IsAsciiLetterOrDigit(sign) ? sign.ToString() : $@"\{sign}");
            Assert.That(Regex.IsMatch(sign.ToString(), $@"\A(?:{escaped})\z"), Is.True, $"{sign} became {escaped}");
        }
    }

    [Test]
    public void StandIn_EveryCharacterAboveTheBmp_IsOfItsCategory()
    {
        HashSet<UnicodeCategory> seen = [];
        for (int value = 0x10000; value <= 0x10FFFF; value++)
        {
            Rune rune = new(value);
            UnicodeCategory category = Rune.GetUnicodeCategory(rune);
            if (CharUnicodeInfo.GetUnicodeCategory(Matchers.StandIn(rune)) != category) Assert.Fail($"U+{value:X}");
            seen.Add(category);
        }

        Assert.That(seen, Has.Count.GreaterThan(15));
    }
}
