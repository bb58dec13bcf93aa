using Equip.Model;
using Equip.Model.Config;

namespace Equip.Tests.Fixtures;

internal sealed class TinyModelTests
{
    [Test]
    public void TinyModel_EveryFamily_LoadsWithItsTokenizer([Values] ModelFamily family, [Values(1, 3)] int shards)
    {
        using TinyModel folder = new(new TinyModelOptions { Family = family, Shards = shards, AttentionBias = family is ModelFamily.Llama or ModelFamily.Qwen3, MlpBias = family == ModelFamily.Llama });
        using LanguageModel model = LanguageModel.Load(folder.Directory);
        int[] ids = model.Tokenizer!.Encode("é \n0");
        Assert.That(ids, Is.EqualTo([2 + 0xC3, 2 + 0xA9, 2 + ' ', 2 + '\n', 2 + '0']));
        Assert.That(model.Tokenizer.Decode(ids), Is.EqualTo("é \n0"));
        Assert.That(model.Generation.EosTokenIds, Is.EqualTo([1]));
        Assert.That((model.Config.Family, model.Config.QkNorm, model.Config.AttentionBias), Is.EqualTo((family, family is ModelFamily.Qwen3 or ModelFamily.Qwen3Moe, family is ModelFamily.Llama or ModelFamily.Qwen2 or ModelFamily.Qwen3 or ModelFamily.Qwen2Moe)));
    }

    [Test]
    public void TinyModel_SameOptions_SameBytes()
    {
        using TinyModel a = new(new TinyModelOptions()), b = new(new TinyModelOptions()), c = new(new TinyModelOptions { Seed = 1 });
        byte[] Weights(TinyModel model) => File.ReadAllBytes(Path.Combine(model.Directory, "model.safetensors"));
        Assert.That(Weights(a).AsSpan().SequenceEqual(Weights(b)));
        Assert.That(Weights(a).AsSpan().SequenceEqual(Weights(c)), Is.False);
    }
}
