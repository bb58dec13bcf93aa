using System.Text;
using System.Text.Json.Nodes;
using Equip.Model;
using Equip.Model.Tokenizer;

namespace Equip.Tests.Tokenizer;

/// <summary>Mutated files: each loads and then works, or is refused with a typed error. Nothing else may come out.</summary>
internal sealed class TokenizerFuzzTests
{
    private const string Text = "  low 12½ é\U0001F642<s>\n\n▁▁ it's\tlow";

    private static readonly string[] _values =
    [
        "null", "true", "-1", "0", "1", "7", "1e99", "0.5", "2147483647", "99999999999999999999", "\"\"", "\"a\"", "\"▁\"", "\"\\u0000\"", "\"BPE\"",
        "\"Sequence\"", "\"Metaspace\"", "\"ByteLevel\"", "\"Removed\"", "\"(a+)+$\"", "\"[\"", "[]", "{}", "[null]", "[[]]", "{\"type\": \"Fuse\"}", "{\"type\": \"NFKC\"}",
    ];

    [Test]
    public void Parse_MutatedStructure_LoadsOrIsRefused()
    {
        Random random = new(1);
        int refused = 0;
        const int Rounds = 3000;
        for (int round = 0; round < Rounds; round++)
        {
            JsonObject root = Base(round % 2);
            for (int i = random.Next(3); i >= 0; i--) Mutate(root, random);
            refused += Try(Encoding.UTF8.GetBytes(root.ToJsonString())) ? 0 : 1;
        }

        Assert.That(refused, Is.InRange(Rounds / 4, Rounds * 95 / 100), "mutations should hit both outcomes");
    }

    [Test]
    public void Parse_MutatedBytes_LoadsOrIsRefused()
    {
        Random random = new(2);
        byte[][] files = [Encoding.UTF8.GetBytes(Base(0).ToJsonString()), Encoding.UTF8.GetBytes(Base(1).ToJsonString())];
        for (int round = 0; round < 3000; round++)
        {
            List<byte> bytes = [.. files[round % 2]];
            for (int i = random.Next(4); i >= 0; i--)
            {
                int at = random.Next(bytes.Count);
                switch (random.Next(4))
                {
                    case 0: bytes[at] = (byte)random.Next(256); break;
                    case 1: bytes[at] = (byte)"{}[]\",:\\019"[random.Next(11)]; break;
                    case 2: bytes.RemoveRange(at, Math.Min(random.Next(20), bytes.Count - at)); break;
                    default: bytes.InsertRange(at, bytes[at..Math.Min(bytes.Count, at + random.Next(40))]); break;
                }
            }

            Try([.. bytes]);
        }
    }

    /// <summary>True if it loaded.</summary>
    private static bool Try(byte[] json)
    {
        BpeTokenizer tokenizer;
        try
        {
            tokenizer = BpeTokenizer.Parse(json);
        }
        catch (ModelFormatException error)
        {
            Assert.That(error.Field, Is.Not.Empty);
            return false;
        }

        int[] ids = tokenizer.Encode(Text);
        int[] all = [.. ids, .. Enumerable.Range(0, tokenizer.VocabularySize)];
        StreamingDecoder decoder = tokenizer.CreateStreamingDecoder();
        Assert.That(string.Concat(all.Select(decoder.Add)) + decoder.Flush(), Is.EqualTo(tokenizer.Decode(all)), Encoding.UTF8.GetString(json));
        return true;
    }

    private static void Mutate(JsonObject root, Random random)
    {
        List<JsonNode> containers = [];
        Collect(root, containers);
        JsonNode container = containers[random.Next(containers.Count)];
        JsonNode? value = random.Next(4) == 0 ? containers[random.Next(containers.Count)].DeepClone() : JsonNode.Parse(_values[random.Next(_values.Length)]);
        if (container is JsonObject members && members.Count > 0)
        {
            string name = members.ElementAt(random.Next(members.Count)).Key;
            if (random.Next(4) == 0) members.Remove(name);
            else members[name] = value;
        }
        else if (container is JsonArray items)
        {
            if (items.Count > 0 && random.Next(4) == 0) items.RemoveAt(random.Next(items.Count));
            else if (items.Count > 0 && random.Next(2) == 0) items[random.Next(items.Count)] = value;
            else items.Add(value);
        }
    }

    private static void Collect(JsonNode node, List<JsonNode> containers)
    {
        containers.Add(node);
        IEnumerable<JsonNode?> children = node is JsonObject members ? members.Select(member => member.Value) : (JsonArray)node;
        foreach (JsonNode? child in children)
            if (child is JsonObject or JsonArray) Collect(child, containers);
    }

    private static JsonObject Base(int kind)
    {
        const string Template = """
            {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
             "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}}
            """;
        TokenizerFile file = new(["<s>", "l", "o", "w", "lo", "low", "▁", "▁▁", "Ġ", "1", "<0xC3>", "<0xA9>", "<0xF0>", "<0x9F>", "<0x99>", "<0x82>"], "l o", "lo w", "▁ ▁");
        file.WithAdded(0, "<s>").WithAdded(16, "it's", "\"lstrip\": true, \"single_word\": true").With("post_processor", Template);
        return kind == 0
            ? file.WithModel("byte_fallback", true).WithModel("unk_token", "<s>").WithModel("fuse_unk", true)
                .With("normalizer", """{"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}""")
                .With("decoder", """{"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}""").Root
            : file.WithByteLevel(TokenizerFile.Qwen2Pattern).With("normalizer", """{"type": "NFC"}""").Root;
    }
}
