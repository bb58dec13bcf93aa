using System.Globalization;
using System.Text;

namespace Equip.Model.Tokenizer;

/// <summary>
/// The "decoder" of tokenizer.json, reduced to what every token contributes in UTF-8, so that decoding a stream and decoding
/// a whole are the same thing. Decoders that would have to see several tokens at once (Replace after Fuse, ...) are refused.
/// </summary>
internal sealed class TokenDecoder
{
    private readonly List<Func<string, string>> _rewrites = [];
    private readonly string[] _tokens;
    private readonly byte[][] _bytes;
    private Metaspace? _metaspace;
    private Output _output = Output.Text;

    /// <summary>Reads the decoder of <paramref name="tokens"/> (by id).</summary>
    public TokenDecoder(JsonField field, string[] tokens)
    {
        _tokens = tokens;
        // Without a decoder, Hugging Face joins tokens with spaces.
        JoinWithSpaces = field.IsNull;
        if (!field.IsNull) Read(field);
        _bytes = [.. tokens.Select(token => BytesOf(token, isFirst: false))];
    }

    private enum Output
    {
        /// <summary>Tokens are text.</summary>
        Text,

        /// <summary>Tokens are bytes in GPT-2's alphabet.</summary>
        ByteLevel,

        /// <summary>Tokens are text, but for those written &lt;0xHH&gt;, which are bytes.</summary>
        ByteFallback,

        /// <summary>Tokens are text, and the whole is one string by now.</summary>
        Fused,
    }

    /// <summary>Whether a space goes between tokens.</summary>
    public bool JoinWithSpaces { get; }

    /// <summary>Whether a broken character becomes one U+FFFD for each of its bytes, instead of one.</summary>
    public bool ReplacesEachByte { get; private set; }

    /// <summary>The character to strip from the ends of the whole.</summary>
    public char StripCharacter { get; private set; }

    /// <summary>How many of them are stripped from the start.</summary>
    public int StripStart { get; private set; }

    /// <summary>How many of them are stripped from the end.</summary>
    public int StripEnd { get; private set; }

    /// <summary>The bytes of a token; the first of a text may have others.</summary>
    public ReadOnlySpan<byte> Bytes(int id, bool isFirst) => isFirst && _metaspace is not null ? BytesOf(_tokens[id], isFirst: true) : _bytes[id];

    private void Read(JsonField field)
    {
        string type = field.Type;
        switch (type, _output)
        {
            case ("Sequence", _):
                foreach (JsonField step in field["decoders"].Items()) Read(step);
                break;
            case ("Replace", Output.Text):
                _rewrites.Add(Normalizers.ReadReplace(field));
                break;
            case ("Metaspace", Output.Text) when _metaspace is null:
                _metaspace = Metaspace.Read(field);
                _rewrites.Add(token => token.Replace(_metaspace.Mark, ' '));
                break;
            case ("ByteFallback", Output.Text):
                _output = Output.ByteFallback;
                ReplacesEachByte = true;
                break;
            case ("ByteLevel", Output.Text):
                _output = Output.ByteLevel;
                break;
            case ("Fuse", Output.Text):
                _output = Output.Fused;
                break;
            case ("Fuse", _):
                break;
            case ("Strip", Output.Text):
                (char character, int start, int end) = ReadStrip(field);
                _rewrites.Add(token => Strip(token, character, start, end));
                break;
            case ("Strip", _) when StripStart + StripEnd == 0:
                (StripCharacter, StripStart, StripEnd) = ReadStrip(field);
                break;
            case ("Replace" or "Metaspace" or "ByteFallback" or "ByteLevel" or "Strip", _):
                throw field["type"].Error($"{type} is not supported after the decoders before it");
            default:
                throw field.NotSupported("ByteFallback, ByteLevel, Fuse, Metaspace, Replace, Sequence or Strip");
        }
    }

    private static (char Character, int Start, int End) ReadStrip(JsonField field) =>
        (field["content"].Character(), field["start"].Integer(1 << 16), field["stop"].Integer(1 << 16));

    private byte[] BytesOf(string token, bool isFirst)
    {
        // The first token loses all its marks, wherever they stand.
        if (isFirst && _metaspace is { Scheme: not "never" }) token = token.Replace(_metaspace.Mark.ToString(), "", StringComparison.Ordinal);
        foreach (Func<string, string> rewrite in _rewrites) token = rewrite(token);
        if (_output == Output.ByteLevel) return ByteLevel.Bytes(token);
        if (_output == Output.ByteFallback && token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>'
            && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte value))
            return [value];
        return Encoding.UTF8.GetBytes(token);
    }

    private static string Strip(string token, char character, int start, int end)
    {
        int from = 0, to = token.Length;
        while (from < to && from < start && token[from] == character) from++;
        while (to > from && token.Length - to < end && token[to - 1] == character) to--;
        return token[from..to];
    }
}
