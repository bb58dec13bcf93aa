using System.Globalization;
using System.Text;

namespace Equip.Model.Tokenizer;

/// <summary>Character classes as the tokenizers' regular expressions define them, on whole characters rather than UTF-16 units.</summary>
internal static class CharacterClasses
{
    /// <summary>\w of Unicode Technical Standard 18: alphabetic, mark, decimal digit, connector or joiner.</summary>
    public static bool IsWord(Rune rune) => Rune.GetUnicodeCategory(rune) switch
    {
        <= UnicodeCategory.LetterNumber or UnicodeCategory.ConnectorPunctuation => true,
        UnicodeCategory.Format => rune.Value is 0x200C or 0x200D,
        // Circled and squared Latin letters.
        UnicodeCategory.OtherSymbol => rune.Value is (>= 0x24B6 and <= 0x24E9) or (>= 0x1F130 and <= 0x1F149) or (>= 0x1F150 and <= 0x1F169) or (>= 0x1F170 and <= 0x1F189),
        _ => false,
    };

    /// <summary>Any kind of number, such as 7, Ⅶ and ½.</summary>
    public static bool IsNumeric(Rune rune) => Rune.GetUnicodeCategory(rune) is
        UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber;
}
