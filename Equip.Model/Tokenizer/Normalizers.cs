using System.Text;

namespace Equip.Model.Tokenizer;

/// <summary>The "normalizer" of tokenizer.json: rewrites text before it is cut into pieces.</summary>
internal static class Normalizers
{
    /// <summary>Reads the normalizer; null leaves text as it is.</summary>
    public static Func<string, string> Read(JsonField field)
    {
        if (field.IsNull) return static text => text;
        switch (field.Type)
        {
            case "NFC": return static text => UnicodeNormalizer.Normalize(text, NormalizationForm.FormC);
            case "NFD": return static text => UnicodeNormalizer.Normalize(text, NormalizationForm.FormD);
            case "NFKC": return static text => UnicodeNormalizer.Normalize(text, NormalizationForm.FormKC);
            case "NFKD": return static text => UnicodeNormalizer.Normalize(text, NormalizationForm.FormKD);
            case "Lowercase": return Lowercase;
            case "Prepend":
                string prefix = field["prepend"].Text();
                return text => text.Length == 0 ? text : prefix + text;
            case "Replace": return ReadReplace(field);
            case "Sequence":
                Func<string, string>[] steps = [.. field["normalizers"].Items().Select(Read)];
                return text => steps.Aggregate(text, static (current, step) => step(current));
            default:
                throw field.NotSupported("NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace or Sequence");
        }
    }

    /// <summary>Replace, which is a normalizer and a decoder: every occurrence of a string becomes another.</summary>
    public static Func<string, string> ReadReplace(JsonField field)
    {
        JsonField pattern = field["pattern"];
        if (!pattern["Regex"].IsNull) throw pattern.Error("a Regex is not supported here, expected a String");
        string old = pattern["String"].Text();
        if (old.Length == 0) throw pattern["String"].Error("is empty, expected at least one character");
        string replacement = field["content"].Text();
        return text => text.Replace(old, replacement, StringComparison.Ordinal);
    }

    /// <summary>Character by character; U+0130 is the one character whose lower case is two.</summary>
    private static string Lowercase(string text) => text.ToLowerInvariant().Replace("\u0130", "i\u0307", StringComparison.Ordinal);
}
