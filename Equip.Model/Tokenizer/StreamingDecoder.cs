using System.Buffers;
using System.Text;

namespace Equip.Model.Tokenizer;

/// <summary>
/// Decodes a stream of ids. Joined, the pieces equal <see cref="BpeTokenizer.Decode"/> of all ids, and each is well-formed
/// text: a character whose bytes are spread over tokens comes with the last of them. One thread at a time.
/// </summary>
/// <remarks>
/// Bytes that are no character become U+FFFD as Hugging Face's decoders do it, with one difference: in a run of &lt;0xHH&gt;
/// tokens that holds whole characters and broken ones, the whole ones are kept, since they may be out before the run ends.
/// </remarks>
public sealed class StreamingDecoder
{
    private readonly BpeTokenizer _tokenizer;
    private readonly TokenDecoder _decoder;
    private readonly bool _skipSpecialTokens;
    private readonly List<byte> _pending = [];
    private readonly StringBuilder _text = new();
    private bool _isFirst = true;
    private int _leftToStrip;

    internal StreamingDecoder(BpeTokenizer tokenizer, TokenDecoder decoder, bool skipSpecialTokens)
    {
        _tokenizer = tokenizer;
        _decoder = decoder;
        _skipSpecialTokens = skipSpecialTokens;
        _leftToStrip = decoder.StripStart;
    }

    /// <summary>The text that <paramref name="id"/> completes; empty while a character is incomplete.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is outside the vocabulary.</exception>
    public string Add(int id)
    {
        Append(id);
        return Take(_text.Length - TrailingToStrip());
    }

    /// <summary>What is left: an unfinished character becomes U+FFFD. The decoder then starts afresh.</summary>
    public string Flush()
    {
        if (_pending.Count > 0) Replace(_pending.Count);
        _pending.Clear();
        _text.Length -= TrailingToStrip();
        string rest = Take(_text.Length);
        _isFirst = true;
        _leftToStrip = _decoder.StripStart;
        return rest;
    }

    /// <summary>The text of all <paramref name="ids"/>.</summary>
    internal string Decode(ReadOnlySpan<int> ids)
    {
        foreach (int id in ids) Append(id);
        return Flush();
    }

    private void Append(int id)
    {
        if (_tokenizer.IsSpecial(id) && _skipSpecialTokens) return;
        if (!_isFirst && _decoder.JoinWithSpaces) Append(" "u8);
        Append(_decoder.Bytes(id, _isFirst));
        _isFirst = false;
    }

    private void Append(ReadOnlySpan<byte> bytes)
    {
        if (_pending.Count > 0)
        {
            _pending.AddRange(bytes);
            bytes = _pending.ToArray();
            _pending.Clear();
        }

        while (!bytes.IsEmpty)
        {
            switch (Rune.DecodeFromUtf8(bytes, out Rune rune, out int length))
            {
                case OperationStatus.Done:
                    if (_leftToStrip > 0 && rune.Value == _decoder.StripCharacter)
                    {
                        _leftToStrip--;
                        break;
                    }

                    _leftToStrip = 0;
                    AppendRune(rune);
                    break;
                case OperationStatus.NeedMoreData:
                    _pending.AddRange(bytes);
                    return;
                default:
                    Replace(length);
                    break;
            }

            bytes = bytes[length..];
        }
    }

    private void AppendRune(Rune rune)
    {
        Span<char> units = stackalloc char[2];
        _text.Append(units[..rune.EncodeToUtf16(units)]);
    }

    private void Replace(int bytes)
    {
        _leftToStrip = 0;
        _text.Append('\uFFFD', _decoder.ReplacesEachByte ? bytes : 1);
    }

    /// <summary>How many characters at the end would be stripped if the text ended here.</summary>
    private int TrailingToStrip()
    {
        int count = 0;
        while (count < _decoder.StripEnd && count < _text.Length && _text[^(count + 1)] == _decoder.StripCharacter) count++;
        return count;
    }

    private string Take(int length)
    {
        string taken = _text.ToString(0, length);
        _text.Remove(0, length);
        return taken;
    }
}
