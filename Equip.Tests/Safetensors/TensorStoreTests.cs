using System.Buffers.Binary;
using Equip.Kernels.Numerics;
using Equip.Model;
using Equip.Model.Config;
using Equip.Model.Safetensors;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Safetensors;

internal sealed unsafe class TensorStoreTests
{
    [TestCase(DataType.F32, 1, false)]
    [TestCase(DataType.F16, 1, true)]
    [TestCase(DataType.BF16, 3, false)]
    [TestCase(DataType.F32, 4, true)]
    public void Get_EveryTensorOfAFolder_GivesItsValues(DataType type, int shards, bool misaligned)
    {
        using TinyModel model = new(new TinyModelOptions { Type = type, Shards = shards, Misaligned = misaligned, Family = ModelFamily.Qwen3 });
        using TensorStore store = TensorStore.Open(model.Directory);
        Assert.That(store.Names, Is.EquivalentTo(model.TensorNames));
        foreach (string name in model.TensorNames)
        {
            TensorView view = store.Get(name, model.Shape(name));
            Assert.That(view.Type, Is.EqualTo(type));
            Assert.That(view.Shape, Is.EqualTo(model.Shape(name)));
            Assert.That((long)view.Data % type.Size(), Is.Zero);
            Assert.That(File.Exists(view.File));
            Assert.That(SafetensorsWriter.Decode(new ReadOnlySpan<byte>(view.Data, (int)view.ByteLength), type), Is.EqualTo(model.Values(name)));
        }
    }

    [Test]
    public void Get_OddOffset_CopiesOnce()
    {
        using TinyModel model = new(new TinyModelOptions { Misaligned = true });
        using TensorStore store = TensorStore.Open(model.Directory);
        TensorView first = store.Get("model.norm.weight", 64), second = store.Get("model.norm.weight", 64);
        Assert.That((nint)first.Data, Is.EqualTo((nint)second.Data));
    }

    [Test]
    public void Open_DefaultModel_HasItsTensors()
    {
        using TensorStore store = TensorStore.Open(LanguageModel.DefaultDirectory);
        Assert.That(store.Names, Has.Count.EqualTo(74));
        Assert.That(store.Contains("model.layers.7.mlp.down_proj.weight"));
        Assert.That(store.Get("model.embed_tokens.weight", 4096, 256).ByteLength, Is.EqualTo(4096 * 256 * 2));
    }

    [Test]
    public void Get_ScalarAndEmpty_AreLegal()
    {
        SafetensorsWriter writer = new();
        writer.AddMetadata("format", "pt");
        writer.Add("empty", DataType.F32, [3, 0, 1L << 40], []);
        writer.Add("scalar", DataType.F32, [], [7.5f]);
        writer.Add("last", DataType.F32, [0], []);
        using TemporaryFolder folder = new();
        folder.Write("model.safetensors", writer.ToArray());
        using TensorStore store = TensorStore.Open(folder.Path);
        Assert.That(*(float*)store.Get("scalar").Data, Is.EqualTo(7.5f));
        Assert.That(store.Get("empty", 3, 0, 1L << 40).ByteLength, Is.Zero);
        Assert.That(store.Get("last", 0).ByteLength, Is.Zero);
    }

    [Test]
    public void Open_NoTensors_IsLegal()
    {
        using TemporaryFolder folder = new();
        folder.Write("model.safetensors", SafetensorsWriter.Assemble("{}", []));
        using TensorStore store = TensorStore.Open(folder.Path);
        Assert.That(store.Names, Is.Empty);
    }

    [TestCase("BOOL", 8)]
    [TestCase("U8", 8)]
    [TestCase("I8", 8)]
    [TestCase("U16", 16)]
    [TestCase("I16", 16)]
    [TestCase("U32", 32)]
    [TestCase("I32", 32)]
    [TestCase("U64", 64)]
    [TestCase("I64", 64)]
    [TestCase("F64", 64)]
    [TestCase("C64", 64)]
    [TestCase("F4", 4)]
    [TestCase("F6_E2M3", 6)]
    [TestCase("F6_E3M2", 6)]
    [TestCase("F8_E5M2", 8)]
    [TestCase("F8_E4M3", 8)]
    [TestCase("F8_E8M0", 8)]
    [TestCase("F8_E4M3FNUZ", 8)]
    [TestCase("F8_E5M2FNUZ", 8)]
    public void Get_TypeThatCannotBeComputedWith_IsParsedButRefusedByName(string dtype, int bits)
    {
        SafetensorsWriter writer = new();
        writer.Add("t", dtype, [4, 2], new byte[bits]);
        using TemporaryFolder folder = new();
        string path = folder.Write("model.safetensors", writer.ToArray());
        using TensorStore store = TensorStore.Open(folder.Path);
        Assert.That(() => store.Get("t", 4, 2), Throws.TypeOf<ModelFormatException>().With.Message.EqualTo($"{path}: tensor 't'.dtype: got {dtype}, expected F32, F16 or BF16"));
    }

    [Test]
    public void Get_OtherShape_NamesBoth()
    {
        using TinyModel model = new(new TinyModelOptions());
        using TensorStore store = TensorStore.Open(model.Directory);
        string path = Path.Combine(model.Directory, "model.safetensors");
        Assert.That(() => store.Get("lm_head.weight", 272, 63), Throws.TypeOf<ModelFormatException>().With.Message.EqualTo($"{path}: tensor 'lm_head.weight'.shape: got [272, 64], expected [272, 63]"));
        Assert.That(() => store.Get("lm_head.weight", 272), Throws.TypeOf<ModelFormatException>());
        Assert.That(() => store.Get("lm_head.bias", 272), Throws.TypeOf<ModelFormatException>().With.Message.EqualTo($"{path}: tensor 'lm_head.bias': missing, expected shape [272]"));
    }

    [Test]
    public void Get_BeyondTwoGigabytes_ReadsTheRightBytes()
    {
        const long Elements = 3L << 28;
        byte[] head = SafetensorsWriter.Assemble($$"""{"big": {"dtype": "F32", "shape": [{{Elements}}], "data_offsets": [0, {{4 * Elements}}] } }""", []);
        using TemporaryFolder folder = new();
        using (FileStream file = File.Create(folder.File("model.safetensors")))
        {
            // A hole in the file: it takes no disk.
            file.Write(head);
            file.SetLength(head.Length + (4 * Elements));
            file.Position = file.Length - 4;
            byte[] last = new byte[4];
            BinaryPrimitives.WriteSingleLittleEndian(last, 42);
            file.Write(last);
        }

        using TensorStore store = TensorStore.Open(folder.Path);
        TensorView view = store.Get("big", Elements);
        Assert.That(((float*)view.Data)[Elements - 1], Is.EqualTo(42));
    }

    [Test]
    public void Get_AfterDispose_Throws()
    {
        using TinyModel model = new(new TinyModelOptions());
        TensorStore store = TensorStore.Open(model.Directory);
        store.Dispose();
        store.Dispose();
        Assert.That(() => store.Get("model.norm.weight", 64), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void Open_NameWithEscapes_IsFoundUnescaped()
    {
        byte[] bytes = SafetensorsWriter.Assemble("""{ "\u0061\n\ud83d\ude00" : {"dtype" : "U8", "data_offsets":[0,1] ,"shape":[1]} }""", [9]);
        List<TensorEntry> entries = SafetensorsHeader.Read("f", bytes, bytes.Length);
        Assert.That(entries.Single().Name, Is.EqualTo("a\n\U0001F600"));
    }
}
