using System.Text;
using Equip.Model.Tokenizer;

namespace Equip.Tests.Tokenizer;

/// <summary>Streams of ids against decoding a whole, and both against plain readings of what the decoders say.</summary>
internal sealed class StreamingDecoderTests
{
    private const string Strip = """{"type": "Strip", "content": " ", "start": 2, "stop": 1}""";

    private static readonly UTF8Encoding _strict = new(false, throwOnInvalidBytes: true);

    private static string Fallback(string strip) => $$"""
        {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "_"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {{strip}}]}
        """;

    [Test]
    public void Add_RandomBytesOfByteLevel_JoinedEqualsWholeAndReference()
    {
        BpeTokenizer tokenizer = TokenizerFile.Bytes("Ã ©", "ð Ł", "a b").WithByteLevel().WithAdded(259, "<s>").Build();
        AssertStreams(tokenizer, (ids, skip) => Encoding.UTF8.GetString([.. ids.SelectMany(id => id switch
        {
            < 256 => (byte[])[(byte)id],
            256 => [0xC3, 0xA9],
            257 => [0xF0, 0x9F],
            258 => "ab"u8.ToArray(),
            _ => skip ? [] : "<s>"u8.ToArray(),
        })]));
    }

    [Test]
    public void Add_RandomTokensOfByteFallback_JoinedEqualsWholeAndReference()
    {
        BpeTokenizer tokenizer = FallbackFile().With("decoder", Fallback(Strip)).Build();
        AssertStreams(tokenizer, (ids, skip) =>
        {
            StringBuilder text = new();
            List<byte> run = [];
            foreach (int id in ids)
            {
                if (id < 256)
                {
                    run.Add((byte)id);
                    continue;
                }

                if (skip && id == 259) continue;
                AppendRun(text, run);
                text.Append(tokenizer.TokenOf(id).Replace('_', ' '));
            }

            AppendRun(text, run);
            return StripReference(text.ToString());
        });
    }

    [TestCase("""{"type": "Metaspace", "replacement": "_", "prepend_scheme": "always"}""")]
    [TestCase("""{"type": "Metaspace", "replacement": "_", "prepend_scheme": "never"}""")]
    [TestCase("null")]
    public void Add_RandomTokensOfOtherDecoders_JoinedEqualsWholeAndReference(string decoder)
    {
        BpeTokenizer tokenizer = FallbackFile().With("decoder", decoder).Build();
        AssertStreams(tokenizer, (ids, skip) =>
        {
            string[] tokens = [.. ids.Where(id => !skip || id != 259).Select(tokenizer.TokenOf)];
            if (decoder == "null") return string.Join(' ', tokens);
            bool strips = decoder.Contains("always", StringComparison.Ordinal);
            return string.Concat(tokens.Select((token, index) => token.Replace("_", index == 0 && strips ? "" : " ", StringComparison.Ordinal)));
        });
    }

    [Test]
    public void Add_CharacterOverFourTokens_ComesWithTheLast()
    {
        StreamingDecoder decoder = TokenizerFile.Bytes().WithByteLevel().Build().CreateStreamingDecoder();
        Assert.That(((int[])[0xF0, 0x9F, 0x99, 0x82, 'a']).Select(decoder.Add), Is.EqualTo((string[])["", "", "", "🙂", "a"]));
        Assert.That(decoder.Flush(), Is.Empty);
    }

    [Test]
    public void Flush_UnfinishedCharacter_OneReplacementOrOneForEachByte()
    {
        StreamingDecoder byteLevel = TokenizerFile.Bytes().WithByteLevel().Build().CreateStreamingDecoder();
        StreamingDecoder fallback = FallbackFile().With("decoder", Fallback(Strip)).Build().CreateStreamingDecoder();
        foreach (StreamingDecoder decoder in (StreamingDecoder[])[byteLevel, fallback])
            Assert.That(decoder.Add(0xF0) + decoder.Add(0x9F), Is.Empty);
        Assert.That(byteLevel.Flush(), Is.EqualTo("\uFFFD"));
        Assert.That(fallback.Flush(), Is.EqualTo("\uFFFD\uFFFD"));
        Assert.That(byteLevel.Add('a'), Is.EqualTo("a"), "it starts afresh");
    }

    [Test]
    public void StripBeforeFuse_CutsEveryToken()
    {
        BpeTokenizer tokenizer = FallbackFile().With("decoder", """
            {"type": "Sequence", "decoders": [{"type": "Strip", "content": "_", "start": 1, "stop": 1}, {"type": "Fuse"}]}
            """).Build();
        int[] ids = [tokenizer.IdOf("__a_")!.Value, tokenizer.IdOf("_")!.Value, tokenizer.IdOf("b")!.Value];
        Assert.That(tokenizer.Decode(ids), Is.EqualTo("_ab"));
    }

    private static TokenizerFile FallbackFile() =>
        new TokenizerFile([.. Enumerable.Range(0, 256).Select(value => $"<0x{value:X2}>"), "_", "__a_", "é", "<s>", "b"]).WithAdded(259, "<s>");

    private static void AssertStreams(BpeTokenizer tokenizer, Func<int[], bool, string> reference)
    {
        Random random = new(11);
        int[] tricky = ['_', 'a', ' ', 0x80, 0xBF, 0xC3, 0xA9, 0xE6, 0x97, 0xA5, 0xED, 0xA0, 0xF0, 0x9F, 0x99, 0x82, 0xF4, 0x90, 0xFF];
        for (int round = 0; round < 4000; round++)
        {
            int[] ids = [.. Enumerable.Range(0, random.Next(12)).Select(_ => random.Next(2) == 0 ? tricky[random.Next(tricky.Length)] : random.Next(240, tokenizer.VocabularySize))];
            bool skip = random.Next(2) == 0;
            StreamingDecoder decoder = tokenizer.CreateStreamingDecoder(skip);
            string[] pieces = [.. ids.Select(decoder.Add), decoder.Flush()];
            string whole = tokenizer.Decode(ids, skip), what = string.Join(' ', ids);
            Assert.That(string.Concat(pieces), Is.EqualTo(whole), what);
            Assert.That(whole, Is.EqualTo(reference(ids, skip)), what);
            foreach (string piece in pieces) Assert.That(() => _strict.GetBytes(piece), Throws.Nothing, what);
        }
    }

    /// <summary>Whole characters stay, every other byte becomes U+FFFD.</summary>
    private static void AppendRun(StringBuilder text, List<byte> run)
    {
        for (int at = 0; at < run.Count;)
        {
            int length = Enumerable.Range(1, Math.Min(4, run.Count - at)).FirstOrDefault(count => IsCharacter([.. run.Skip(at).Take(count)]));
            text.Append(length == 0 ? "\uFFFD" : Encoding.UTF8.GetString([.. run.Skip(at).Take(length)]));
            at += Math.Max(1, length);
        }

        run.Clear();
    }

    private static bool IsCharacter(byte[] bytes)
    {
        try
        {
            return _strict.GetString(bytes).EnumerateRunes().Count() == 1;
        }
        catch (DecoderFallbackException)
        {
            return false;
        }
    }

    /// <summary>Two spaces from the start, one from the end.</summary>
    private static string StripReference(string text)
    {
        for (int i = 0; i < 2 && text.StartsWith(' '); i++) text = text[1..];
        return text.EndsWith(' ') ? text[..^1] : text;
    }
}
