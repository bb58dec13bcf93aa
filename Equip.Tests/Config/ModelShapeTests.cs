using Equip.Model.Config;

namespace Equip.Tests.Config;

internal sealed class ModelShapeTests
{
    [TestCase("llama-160m", 768, 12, 12, 12, 2048, 32000, 10000)]
    [TestCase("tinyllama-1.1b", 2048, 22, 32, 4, 5632, 32000, 10000)]
    [TestCase("llama-2-7b", 4096, 32, 32, 32, 11008, 32000, 10000)]
    [TestCase("Llama-3-8B", 4096, 32, 32, 8, 14336, 128256, 500000)]
    [TestCase("llama-2-7b:4", 4096, 4, 32, 32, 11008, 32000, 10000)]
    [TestCase("256x8x4x2x768", 256, 8, 4, 2, 768, 32000, 10000)]
    [TestCase("256x8x4x2x768:1", 256, 1, 4, 2, 768, 32000, 10000)]
    public void Parse_KnownText_GivesDimensions(string text, int hidden, int layers, int heads, int kvHeads, int feedForward, int vocabulary, double theta)
    {
        ModelShape shape = ModelShape.Parse(text);
        ModelConfig config = shape.Config;
        Assert.That(shape.Name, Is.EqualTo(text));
        Assert.That((config.HiddenSize, config.Layers, config.Heads, config.KvHeads, config.IntermediateSize), Is.EqualTo((hidden, layers, heads, kvHeads, feedForward)));
        Assert.That((config.VocabularySize, config.Rope.Theta, config.HeadDim, config.Rope.HeadDim), Is.EqualTo((vocabulary, theta, hidden / heads, hidden / heads)));
        Assert.That(config.TieWordEmbeddings, Is.False);
    }

    [Test]
    public void KnownNames_All_Parse()
    {
        Assert.That(ModelShape.KnownNames, Has.Count.EqualTo(4));
        foreach (string name in ModelShape.KnownNames) Assert.That(ModelShape.Parse(name).Name, Is.EqualTo(name));
    }

    [TestCase("", "expected llama-160m, tinyllama-1.1b, llama-2-7b, llama-3-8b or HxLxHqxHkxF")]
    [TestCase("gpt-2", "expected llama-160m, tinyllama-1.1b")]
    [TestCase("256x8x4x2", "or HxLxHqxHkxF (hidden, layers, query heads, KV heads, feed-forward)")]
    [TestCase("256x8x4x3x768", "4 query heads, expected a multiple of the 3 KV heads")]
    [TestCase("250x8x4x2x768", "hidden 250, expected a multiple of the 4 query heads")]
    [TestCase("96x8x4x2x768", "hidden / query heads is 24, expected a multiple of 16 up to 256")]
    [TestCase("2048x8x4x2x768", "hidden / query heads is 512, expected a multiple of 16 up to 256")]
    [TestCase("256x0x4x2x768", "layers is '0', expected an integer from 1 to 4096")]
    [TestCase("256x8x4x2x-1", "feed-forward is '-1', expected an integer from 1 to 16777216")]
    [TestCase("99999999999x8x4x2x768", "hidden is '99999999999'")]
    [TestCase("llama-2-7b:", "layers is ''")]
    [TestCase("llama-2-7b:0", "layers is '0'")]
    [TestCase("llama-2-7b:4:4", "expected one ':LAYERS' at most")]
    public void Parse_OtherText_SaysWhatIsExpected(string text, string message)
        => Assert.That(() => ModelShape.Parse(text), Throws.TypeOf<ArgumentException>().With.Message.Contains(message).And.Message.StartsWith($"shape: got '{text}', "));
}
