using System.Text;

namespace Equip.Model.Tokenizer;

/// <summary>
/// Text to token ids and back, as tokenizer.json says (BPE). Safe to use from several threads.
/// </summary>
/// <remarks>
/// Read are normalizer, pre_tokenizer, model, post_processor (its template for a single text), decoder and added_tokens;
/// what is not supported is refused by name when the file is loaded. "truncation" and "padding" are ignored.
/// </remarks>
public sealed class BpeTokenizer
{
    private const string FileName = "tokenizer.json", ConfigFileName = "tokenizer_config.json";

    private readonly string[] _tokens;
    private readonly bool[] _special;
    private readonly Dictionary<string, int> _addedIds = new(StringComparer.Ordinal);
    private readonly AddedTokens _rawTokens, _normalizedTokens;
    private readonly Func<string, string> _normalize;
    private readonly PreTokenizer[] _preTokenizers;
    private readonly BpeModel _model;
    private readonly PostProcessor _postProcessor;
    private readonly TokenDecoder _decoder;
    private BpeScratch? _spare;

    private BpeTokenizer(JsonField root)
    {
        _model = new BpeModel(root["model"]);
        List<AddedToken> added = AddedTokens.Read(root["added_tokens"]);
        foreach (AddedToken token in added)
        {
            if (IdOf(token.Content) is not int id) _addedIds.Add(token.Content, token.Id);
            else if (id != token.Id) throw root["added_tokens"].Error($"\"{token.Content}\" has id {token.Id} here and {id} elsewhere");
        }

        _tokens = new string[_model.Vocabulary.Count + _addedIds.Count];
        SortIn(_model.Vocabulary, root, "model");
        SortIn(_addedIds, root, "added_tokens");
        _special = new bool[_tokens.Length];
        foreach (AddedToken token in added) _special[token.Id] = token.Special;

        _normalize = Normalizers.Read(root["normalizer"]);
        _rawTokens = new AddedTokens(added.Where(static token => !token.Normalized), static content => content);
        _normalizedTokens = new AddedTokens(added.Where(static token => token.Normalized), _normalize);
        _preTokenizers = PreTokenizers.Read(root["pre_tokenizer"]);
        _postProcessor = new PostProcessor(root["post_processor"], _tokens.Length);
        _decoder = new TokenDecoder(root["decoder"], _tokens);
    }

    /// <summary>One more than the largest id.</summary>
    public int VocabularySize => _tokens.Length;

    /// <summary>The token that starts a sequence, by tokenizer_config.json; null if it names none.</summary>
    public int? BosTokenId { get; private set; }

    /// <summary>The token that ends one, by tokenizer_config.json; null if it names none.</summary>
    public int? EosTokenId { get; private set; }

    /// <summary>Reads tokenizer.json (and bos/eos of tokenizer_config.json if there) of a model folder.</summary>
    /// <exception cref="ModelFormatException">The file is missing, broken, or uses a part that is not supported (named).</exception>
    public static BpeTokenizer Load(string directory)
    {
        ArgumentNullException.ThrowIfNull(directory);
        BpeTokenizer tokenizer = JsonField.Read(Path.Combine(directory, FileName), static root => new BpeTokenizer(root));
        string config = Path.Combine(directory, ConfigFileName);
        return File.Exists(config) ? JsonField.Read(config, tokenizer.WithConfig) : tokenizer;
    }

    /// <summary>The ids of <paramref name="text"/>. Special tokens written out in the text become their ids.</summary>
    /// <param name="text">Any text; lone surrogates become U+FFFD.</param>
    /// <param name="addSpecialTokens">Whether the post-processor's tokens (such as bos) are added.</param>
    /// <exception cref="ModelFormatException">A regular expression of the file does not come to an end on this text.</exception>
    public int[] Encode(string text, bool addSpecialTokens = true)
    {
        ArgumentNullException.ThrowIfNull(text);
        text = WellFormed(text);
        List<int> ids = [];
        if (addSpecialTokens) ids.AddRange(_postProcessor.Prefix);

        // One scratch waits here between calls; concurrent calls make their own.
        BpeScratch scratch = Interlocked.Exchange(ref _spare, null) ?? new BpeScratch();
        foreach (Fragment raw in _rawTokens.Split(text))
        {
            if (raw.Id >= 0) ids.Add(raw.Id);
            else EncodeRaw(text[raw.Start..raw.End], raw.Start == 0, scratch, ids);
        }

        _spare = scratch;
        if (addSpecialTokens) ids.AddRange(_postProcessor.Suffix);
        return [.. ids];
    }

    /// <summary>The text of <paramref name="ids"/>; well-formed, with U+FFFD for bytes that are no character.</summary>
    /// <param name="ids">Ids below <see cref="VocabularySize"/>.</param>
    /// <param name="skipSpecialTokens">Whether special tokens are left out.</param>
    /// <exception cref="ArgumentOutOfRangeException">An id is outside the vocabulary.</exception>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = true) => CreateStreamingDecoder(skipSpecialTokens).Decode(ids);

    /// <summary>The id of a token given as it stands in the vocabulary, or null.</summary>
    public int? IdOf(string token) => _model.Vocabulary.TryGetValue(token, out int id) || _addedIds.TryGetValue(token, out id) ? id : null;

    /// <summary>A token as it stands in the vocabulary.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is outside the vocabulary.</exception>
    public string TokenOf(int id) => _tokens[InVocabulary(id)];

    /// <summary>Whether <paramref name="id"/> is a control token, such as bos.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is outside the vocabulary.</exception>
    public bool IsSpecial(int id) => _special[InVocabulary(id)];

    /// <summary>A decoder that takes ids one by one and returns only whole UTF-8 characters.</summary>
    public StreamingDecoder CreateStreamingDecoder(bool skipSpecialTokens = true) => new(this, _decoder, skipSpecialTokens);

    /// <summary>Reads the text of a tokenizer.json, and of a tokenizer_config.json.</summary>
    internal static BpeTokenizer Parse(byte[] json, byte[]? config = null)
    {
        BpeTokenizer tokenizer = JsonField.Parse(json, FileName, static root => new BpeTokenizer(root));
        return config is null ? tokenizer : JsonField.Parse(config, ConfigFileName, tokenizer.WithConfig);
    }

    private void EncodeRaw(string text, bool atStart, BpeScratch scratch, List<int> ids)
    {
        text = _normalize(text);
        foreach (Fragment fragment in _normalizedTokens.Split(text))
        {
            if (fragment.Id >= 0)
            {
                ids.Add(fragment.Id);
                continue;
            }

            Piece whole = new(text, fragment.Start, fragment.End - fragment.Start, atStart && fragment.Start == 0);
            foreach (Piece piece in PreTokenizers.Run(_preTokenizers, whole)) _model.Encode(piece.Span, scratch, ids);
        }
    }

    /// <summary>Puts tokens in their places; all ids must be below their number, and no two alike.</summary>
    private void SortIn(IReadOnlyDictionary<string, int> ids, JsonField root, string section)
    {
        foreach ((string token, int id) in ids)
        {
            if (id >= _tokens.Length) throw root[section].Error($"\"{token}\" has id {id}, expected ids from 0 to {_tokens.Length - 1} for {_tokens.Length} tokens");
            if (_tokens[id] is string other) throw root[section].Error($"\"{token}\" and \"{other}\" both have id {id}");
            _tokens[id] = token;
        }
    }

    private BpeTokenizer WithConfig(JsonField config)
    {
        BosTokenId = Named(config["bos_token"]);
        EosTokenId = Named(config["eos_token"]);
        return this;
    }

    private int? Named(JsonField field)
    {
        JsonField name = field.IsObject ? field["content"] : field;
        if (name.IsNull) return null;
        return IdOf(name.Text()) ?? throw name.Error($"\"{name.Text()}\" is not in {FileName}");
    }

    private int InVocabulary(int id)
    {
        if ((uint)id >= (uint)_tokens.Length) throw new ArgumentOutOfRangeException(nameof(id), id, $"id: got {id}, expected 0 to {_tokens.Length - 1}");
        return id;
    }

    private static string WellFormed(string text)
    {
        if (text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF') < 0) return text;
        StringBuilder result = new(text.Length);
        foreach (Rune rune in text.EnumerateRunes()) result.Append(rune.ToString());
        return result.ToString();
    }
}
