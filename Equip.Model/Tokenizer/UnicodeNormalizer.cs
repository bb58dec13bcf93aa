using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Equip.Model.Tokenizer;

/// <summary>
/// The Unicode normalisation forms (UAX #15), Unicode 14.0. Written out here because <see cref="string.Normalize()"/> returns its
/// input unchanged where a process runs with InvariantGlobalization, and a tokenizer may not depend on that setting.
/// </summary>
internal static class UnicodeNormalizer
{
    // Hangul syllables follow from arithmetic (The Unicode Standard, 3.12).
    private const int SyllableBase = 0xAC00, LeadBase = 0x1100, VowelBase = 0x1161, TrailBase = 0x11A7;
    private const int Leads = 19, Vowels = 21, Trails = 28, Syllables = Leads * Vowels * Trails;

    // A character on its way through the canonical ordering: class, then place in the text, then the character itself.
    private const int ClassShift = 53, PlaceShift = 21, CharacterMask = (1 << PlaceShift) - 1;

    private static readonly Lazy<Tables> _tables = new(Tables.Read);

    /// <summary>The normal form of well-formed <paramref name="text"/>.</summary>
    public static string Normalize(string text, NormalizationForm form)
    {
        // Below these characters nothing decomposes, and for NFC nothing composes either.
        char firstAffected = form == NormalizationForm.FormC ? '\u0300' : '\u0080';
        if (text.AsSpan().IndexOfAnyExceptInRange('\0', (char)(firstAffected - 1)) < 0) return text;

        Tables tables = _tables.Value;
        bool compatibility = form is NormalizationForm.FormKC or NormalizationForm.FormKD;
        List<long> decomposed = new(text.Length);
        foreach (Rune rune in text.EnumerateRunes()) Decompose(tables, rune.Value, compatibility, decomposed);
        Span<long> characters = CollectionsMarshal.AsSpan(decomposed);
        OrderMarks(characters);
        if (form is NormalizationForm.FormC or NormalizationForm.FormKC) characters = Compose(tables, characters);

        StringBuilder result = new(text.Length);
        foreach (long character in characters) result.Append(new Rune((int)character & CharacterMask).ToString());
        return result.ToString();
    }

    private static void Decompose(Tables tables, int character, bool compatibility, List<long> output)
    {
        int syllable = character - SyllableBase;
        if ((uint)syllable < Syllables)
        {
            Append(LeadBase + (syllable / (Vowels * Trails)), 0, output);
            Append(VowelBase + (syllable / Trails % Vowels), 0, output);
            if (syllable % Trails != 0) Append(TrailBase + (syllable % Trails), 0, output);
        }
        else if (tables.Decompositions.TryGetValue(character, out (int[] Mapping, bool Canonical) found) && (compatibility || found.Canonical))
        {
            foreach (int part in found.Mapping) Decompose(tables, part, compatibility, output);
        }
        else
        {
            Append(character, tables.CombiningClasses.GetValueOrDefault(character), output);
        }
    }

    private static void Append(int character, int combiningClass, List<long> output) =>
        output.Add(((long)combiningClass << ClassShift) | ((long)output.Count << PlaceShift) | (long)character);

    /// <summary>Sorts each run of combining marks by class; marks of one class keep their order, as their places are in the key.</summary>
    private static void OrderMarks(Span<long> characters)
    {
        for (int start = 0; start < characters.Length; start++)
        {
            int end = start;
            while (end < characters.Length && characters[end] >> ClassShift != 0) end++;
            if (end - start > 1) characters[start..end].Sort();
            start = Math.Max(start, end - 1);
        }
    }

    /// <summary>Composes in place: a mark joins the last starter unless a mark of its own class, or a starter, stands between them.</summary>
    private static Span<long> Compose(Tables tables, Span<long> characters)
    {
        int written = 0, starter = -1;
        long lastClass = -1;
        foreach (long character in characters)
        {
            long combiningClass = character >> ClassShift;
            int second = (int)character & CharacterMask;
            if (starter >= 0 && lastClass < combiningClass
                && ComposePair(tables, (int)characters[starter] & CharacterMask, second) is int composite)
            {
                characters[starter] = composite;
                continue;
            }

            characters[written] = character;
            lastClass = combiningClass;
            if (combiningClass == 0)
            {
                starter = written;
                lastClass = -1;
            }

            written++;
        }

        return characters[..written];
    }

    private static int? ComposePair(Tables tables, int first, int second)
    {
        int lead = first - LeadBase, vowel = second - VowelBase;
        if ((uint)lead < Leads && (uint)vowel < Vowels) return SyllableBase + (((lead * Vowels) + vowel) * Trails);
        int syllable = first - SyllableBase, trail = second - TrailBase;
        if ((uint)syllable < Syllables && syllable % Trails == 0 && trail is > 0 and < Trails) return first + trail;
        return tables.Compositions.TryGetValue((first, second), out int composite) ? composite : null;
    }

    private sealed class Tables
    {
        public Dictionary<int, (int[] Mapping, bool Canonical)> Decompositions { get; } = [];

        public Dictionary<(int First, int Second), int> Compositions { get; } = [];

        public Dictionary<int, int> CombiningClasses { get; } = [];

        public static Tables Read()
        {
            Tables tables = new();
            foreach ((int character, char kind, int[] mapping) in Entries(UnicodeTables.Decompositions))
            {
                tables.Decompositions.Add(character, (mapping, kind != 'k'));
                if (kind == '=' && mapping.Length == 2) tables.Compositions.Add((mapping[0], mapping[1]), character);
            }

            foreach ((int character, _, int[] mapping) in Entries(UnicodeTables.CombiningClasses, consecutive: false))
                tables.CombiningClasses.Add(character, mapping[0]);
            return tables;
        }

        private static IEnumerable<(int Character, char Kind, int[] Mapping)> Entries(string table, bool consecutive = true)
        {
            int character = 0;
            foreach (string entry in table.Split((char[])[' ', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries))
            {
                int kind = entry.AsSpan().IndexOfAny('=', 'x', 'k');
                string[] counted = entry[(kind + 1)..].Split('*');
                int[] mapping = [.. counted[0].Split(',').Select(Number)];
                int count = counted.Length > 1 ? Number(counted[1]) : 1;
                character += Number(entry[..kind]);
                for (int i = 0; i < count; i++, character++)
                    yield return (character, entry[kind], consecutive && i > 0 ? [mapping[0] + i] : mapping);
                character--;
            }
        }

        private static int Number(string hexadecimal) => int.Parse(hexadecimal, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
    }
}
