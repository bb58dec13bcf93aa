using System.Text.Json.Nodes;

namespace Equip.Tests.Fixtures;

/// <summary>A byte-level BPE tokenizer without merges: token 2 + b is byte b, 0 is bos, 1 is eos.</summary>
internal static class TinyModelTokenizer
{
    public const int Tokens = 258;

    public static string Json()
    {
        JsonObject vocabulary = new() { ["<|bos|>"] = 0, ["<|eos|>"] = 1 };
        int shifted = 0;
        for (int value = 0; value < 256; value++)
        {
            // GPT-2's alphabet: printable bytes stand for themselves, the others for the characters from 256 on.
            bool printable = value is (>= 33 and <= 126) or (>= 161 and <= 172) or >= 174;
            vocabulary[((char)(printable ? value : 256 + shifted++)).ToString()] = 2 + value;
        }

        JsonObject file = new()
        {
            ["version"] = "1.0",
            ["added_tokens"] = new JsonArray(Special(0, "<|bos|>"), Special(1, "<|eos|>")),
            ["normalizer"] = null,
            ["pre_tokenizer"] = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true, ["use_regex"] = true },
            ["post_processor"] = null,
            ["decoder"] = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = true, ["trim_offsets"] = true, ["use_regex"] = true },
            ["model"] = new JsonObject { ["type"] = "BPE", ["unk_token"] = null, ["byte_fallback"] = false, ["vocab"] = vocabulary, ["merges"] = new JsonArray() },
        };
        return file.ToJsonString();
    }

    private static JsonObject Special(int id, string content) => new()
    {
        ["id"] = id,
        ["content"] = content,
        ["single_word"] = false,
        ["lstrip"] = false,
        ["rstrip"] = false,
        ["normalized"] = false,
        ["special"] = true,
    };
}
