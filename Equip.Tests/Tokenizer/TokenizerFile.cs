using System.Text;
using System.Text.Json.Nodes;
using Equip.Model.Tokenizer;

namespace Equip.Tests.Tokenizer;

/// <summary>Small tokenizer.json files written by the tests.</summary>
internal sealed class TokenizerFile
{
    public const string Llama3Pattern = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    public const string Qwen2Pattern = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>A model of the given tokens, ids in their order, and merges such as "a b".</summary>
    public TokenizerFile(IEnumerable<string> tokens, params string[] merges)
    {
        JsonObject vocabulary = [];
        foreach (string token in tokens) vocabulary.Add(token, vocabulary.Count);
        Root = new JsonObject
        {
            ["version"] = "1.0",
            ["added_tokens"] = new JsonArray(),
            ["normalizer"] = null,
            ["pre_tokenizer"] = null,
            ["post_processor"] = null,
            ["decoder"] = null,
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["vocab"] = vocabulary,
                ["merges"] = new JsonArray([.. merges.Select(merge => (JsonNode)merge)]),
            },
        };
    }

    /// <summary>The 256 characters of the byte alphabet, by byte: made from the rule, not by the code under test.</summary>
    public static string[] ByteAlphabet { get; } = MakeByteAlphabet();

    public JsonObject Root { get; }

    public JsonObject Model => (JsonObject)Root["model"]!;

    /// <summary>A byte-level model: ids 0 to 255 are the bytes, then come what the merges make, in their order.</summary>
    public static TokenizerFile Bytes(params string[] merges) => new([.. ByteAlphabet, .. merges.Select(merge => merge.Replace(" ", "", StringComparison.Ordinal))], merges);

    public TokenizerFile With(string section, string json)
    {
        Root[section] = JsonNode.Parse(json);
        return this;
    }

    public TokenizerFile WithModel(string field, JsonNode? value)
    {
        Model[field] = value;
        return this;
    }

    public TokenizerFile WithAdded(int id, string content, string flags = "\"special\": true, \"normalized\": false")
    {
        JsonObject token = (JsonObject)JsonNode.Parse($"{{{flags}}}")!;
        token["id"] = id;
        token["content"] = content;
        ((JsonArray)Root["added_tokens"]!).Add(token);
        return this;
    }

    /// <summary>ByteLevel as pre-tokenizer, behind a Split by <paramref name="pattern"/> if there is one, and as decoder.</summary>
    public TokenizerFile WithByteLevel(string? pattern = null)
    {
        JsonObject bytes = new() { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["use_regex"] = pattern is null };
        Root["decoder"] = bytes.DeepClone();
        if (pattern is not null)
        {
            JsonObject split = new() { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = pattern }, ["behavior"] = "Isolated", ["invert"] = false };
            bytes = new JsonObject { ["type"] = "Sequence", ["pretokenizers"] = new JsonArray(split, bytes) };
        }

        Root["pre_tokenizer"] = bytes;
        return this;
    }

    public byte[] ToBytes() => Encoding.UTF8.GetBytes(Root.ToJsonString());

    public BpeTokenizer Build(string? config = null) => BpeTokenizer.Parse(ToBytes(), config is null ? null : Encoding.UTF8.GetBytes(config));

    /// <summary>The tokens of <paramref name="text"/>, joined by "|".</summary>
    public static string Tokens(BpeTokenizer tokenizer, string text, bool addSpecialTokens = false) =>
        string.Join('|', tokenizer.Encode(text, addSpecialTokens).Select(tokenizer.TokenOf));

    /// <summary>The pieces that a pre-tokenizer makes of <paramref name="text"/>.</summary>
    public static string[] Pieces(string preTokenizer, string text)
    {
        PreTokenizer[] steps = JsonField.Parse(Encoding.UTF8.GetBytes(preTokenizer), "tokenizer.json", PreTokenizers.Read);
        return [.. PreTokenizers.Run(steps, new Piece(text, 0, text.Length, true)).Select(piece => piece.Span.ToString())];
    }

    private static string[] MakeByteAlphabet()
    {
        string printable = string.Concat(Enumerable.Range(0x21, 0x5E).Concat(Enumerable.Range(0xA1, 0xC)).Concat(Enumerable.Range(0xAE, 0x52)).Select(value => (char)value));
        int others = 0;
        return [.. Enumerable.Range(0, 256).Select(value => (printable.Contains((char)value) ? (char)value : (char)(0x100 + others++)).ToString())];
    }
}
