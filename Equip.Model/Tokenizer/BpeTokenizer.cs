namespace Equip.Model.Tokenizer;

/// <summary>Text to token ids and back, as tokenizer.json says (BPE).</summary>
public sealed class BpeTokenizer
{
    /// <summary>Reads tokenizer.json (and bos/eos of tokenizer_config.json if there) of a model folder.</summary>
    /// <exception cref="ModelFormatException">The file is missing, broken, or uses a part that is not supported (named).</exception>
    public static BpeTokenizer Load(string directory) => throw new NotImplementedException();

    /// <summary>One more than the largest id.</summary>
    public int VocabularySize => throw new NotImplementedException();

    /// <summary>The ids of <paramref name="text"/>. Special tokens written out in the text become their ids.</summary>
    /// <param name="text">Any text; lone surrogates become U+FFFD.</param>
    /// <param name="addSpecialTokens">Whether the post-processor's tokens (such as bos) are added.</param>
    public int[] Encode(string text, bool addSpecialTokens = true) => throw new NotImplementedException();

    /// <summary>The text of <paramref name="ids"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An id is outside the vocabulary.</exception>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = true) => throw new NotImplementedException();

    /// <summary>The id of a token given as it stands in the vocabulary, or null.</summary>
    public int? IdOf(string token) => throw new NotImplementedException();

    /// <summary>A decoder that takes ids one by one and returns only whole UTF-8 characters.</summary>
    public StreamingDecoder CreateStreamingDecoder(bool skipSpecialTokens = true) => throw new NotImplementedException();
}

/// <summary>Decodes a stream of ids. Joined, the pieces equal <see cref="BpeTokenizer.Decode"/> of all ids.</summary>
public sealed class StreamingDecoder
{
    /// <summary>The text that <paramref name="id"/> completes; empty while a character is incomplete.</summary>
    public string Add(int id) => throw new NotImplementedException();

    /// <summary>What is left: an unfinished character becomes U+FFFD.</summary>
    public string Flush() => throw new NotImplementedException();
}
