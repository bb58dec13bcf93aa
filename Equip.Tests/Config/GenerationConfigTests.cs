using Equip.Model;
using Equip.Model.Config;
using Equip.Tests.Safetensors;

namespace Equip.Tests.Config;

internal sealed class GenerationConfigTests
{
    [Test]
    public void Load_AllFields_ReadsThem()
    {
        using TemporaryFolder folder = new();
        folder.Write("generation_config.json", """{"bos_token_id": 5, "eos_token_id": [6, 7], "do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.95, "max_new_tokens": 9}""");
        folder.Write("config.json", """{"bos_token_id": 1, "eos_token_id": 2}""");
        GenerationConfig config = GenerationConfig.Load(folder.Path);
        Assert.That(config.EosTokenIds, Is.EqualTo([6, 7]));
        Assert.That((config.BosTokenId, config.DoSample, config.Temperature, config.TopK, config.TopP), Is.EqualTo((5, true, 0.6f, 20, 0.95f)));
    }

    [Test]
    public void Load_NoIds_TakesThoseOfConfig()
    {
        using TemporaryFolder folder = new();
        folder.Write("generation_config.json", """{"bos_token_id": null, "temperature": 0}""");
        folder.Write("config.json", """{"bos_token_id": 1, "eos_token_id": 2}""");
        GenerationConfig config = GenerationConfig.Load(folder.Path);
        Assert.That(config.EosTokenIds, Is.EqualTo([2]));
        Assert.That((config.BosTokenId, config.DoSample, config.Temperature, config.TopK, config.TopP), Is.EqualTo((1, false, 0f, 0, 1f)));
    }

    [Test]
    public void Load_NoFiles_GivesDefaults()
    {
        using TemporaryFolder folder = new();
        GenerationConfig config = GenerationConfig.Load(folder.Path);
        Assert.That(config.EosTokenIds, Is.Empty);
        Assert.That((config.BosTokenId, config.Temperature), Is.EqualTo((default(int?), 1f)));
    }

    [TestCase("""{"eos_token_id": "</s>"}""", "eos_token_id: got '</s>', expected an integer from 0 to 2147483647")]
    [TestCase("""{"eos_token_id": [1, null]}""", "eos_token_id: got null, expected an integer from 0 to 2147483647")]
    [TestCase("""{"bos_token_id": -1}""", "bos_token_id: got -1, expected an integer from 0 to 2147483647")]
    [TestCase("""{"do_sample": 1}""", "do_sample: got 1, expected true or false")]
    [TestCase("""{"temperature": -0.1}""", "temperature: got -0.1, expected a number from 0 to 1000")]
    [TestCase("""{"top_k": 1.5}""", "top_k: got 1.5, expected an integer from 0 to 2147483647")]
    [TestCase("""{"top_p": 2}""", "top_p: got 2, expected a number from 1E-06 to 1")]
    [TestCase("[]", "text: got a list, expected an object")]
    public void Load_BrokenFile_SaysWhatAndWhere(string json, string message)
    {
        using TemporaryFolder folder = new();
        string path = folder.Write("generation_config.json", json);
        Assert.That(() => GenerationConfig.Load(folder.Path), Throws.TypeOf<ModelFormatException>().With.Message.EqualTo($"{path}: {message}"));
    }
}
