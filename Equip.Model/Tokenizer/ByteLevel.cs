using System.Text;

namespace Equip.Model.Tokenizer;

/// <summary>
/// GPT-2's way to make any bytes into printable text: each byte is written as one character, the printable ones of Latin-1 as
/// themselves, the rest as U+0100 and on (openai/gpt-2, encoder.py).
/// </summary>
internal static class ByteLevel
{
    /// <summary>Contractions, words with the space before them, numbers, other signs, white space (openai/gpt-2, encoder.py).</summary>
    private const string Gpt2Pattern = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    private static readonly char[] _characters = MakeCharacters();
    private static readonly short[] _bytes = MakeBytes();
    private static readonly MatchFinder _gpt2 = Matchers.Regex(Gpt2Pattern);

    /// <summary>Reads the pre-tokenizer of this name.</summary>
    public static PreTokenizer Read(JsonField field)
    {
        bool prefixSpace = field["add_prefix_space"].Flag(true);
        bool useRegex = field["use_regex"].Flag(true);
        return (in piece, output) => PreTokenize(piece, prefixSpace, useRegex, output);
    }

    /// <summary>The bytes that <paramref name="token"/> stands for; a token with other characters in it is taken as text.</summary>
    public static byte[] Bytes(string token)
    {
        byte[] bytes = new byte[token.Length];
        for (int i = 0; i < token.Length; i++)
        {
            if (token[i] >= _bytes.Length || _bytes[token[i]] < 0) return Encoding.UTF8.GetBytes(token);
            bytes[i] = (byte)_bytes[token[i]];
        }

        return bytes;
    }

    private static void PreTokenize(in Piece piece, bool prefixSpace, bool useRegex, List<Piece> output)
    {
        ReadOnlySpan<char> text = prefixSpace && piece.Span[0] != ' ' ? $" {piece.Span}" : piece.Span;
        List<(int Start, int End)> parts = useRegex ? Splitter.Split(text, _gpt2, SplitBehavior.Isolated, false) : [(0, text.Length)];

        // All pieces share one string of characters, one a byte.
        byte[] bytes = new byte[Encoding.UTF8.GetByteCount(text)];
        Encoding.UTF8.GetBytes(text, bytes);
        string characters = string.Create(bytes.Length, bytes, static (span, source) =>
        {
            for (int i = 0; i < span.Length; i++) span[i] = _characters[source[i]];
        });
        int at = 0;
        foreach ((int start, int end) in parts)
        {
            int length = Encoding.UTF8.GetByteCount(text[start..end]);
            output.Add(new Piece(characters, at, length, piece.AtStart && start == 0));
            at += length;
        }
    }

    private static char[] MakeCharacters()
    {
        char[] characters = new char[256];
        char next = '\u0100';
        for (int value = 0; value < 256; value++)
            characters[value] = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF) ? (char)value : next++;
        return characters;
    }

    /// <summary>The byte of each character, -1 for those that stand for none.</summary>
    private static short[] MakeBytes()
    {
        short[] bytes = new short[_characters.Max() + 1];
        Array.Fill<short>(bytes, -1);
        for (short value = 0; value < 256; value++) bytes[_characters[value]] = value;
        return bytes;
    }
}
