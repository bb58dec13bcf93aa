using Equip.Model;
using Equip.Model.Safetensors;
using Equip.Tests.Safetensors;

namespace Equip.Tests.BadFiles;

/// <summary>Broken shard indices and folders, each with the message that it must give.</summary>
internal sealed class ShardBadFileTests
{
    private const string Index = "model.safetensors.index.json";

    [TestCase("[]", "text: not an object")]
    [TestCase("{}", "weight_map: missing")]
    [TestCase("""{"metadata":{"total_size":8}}""", "weight_map: missing")]
    [TestCase("""{"weight_map":[]}""", "weight_map: not an object")]
    [TestCase("""{"weight_map":{"a":1}}""", "weight_map.a: not the name of a file")]
    [TestCase("""{"weight_map":{"a":"1.safetensors","a":"1.safetensors"}}""", "weight_map.a: found twice, expected once")]
    [TestCase("""{"weight_map":{},"weight_map":{}}""", "weight_map: found twice, expected once")]
    [TestCase("""{"weight_map":{"a":"../1.safetensors"}}""", "weight_map.a: got '../1.safetensors', expected a file name without separators or '..'")]
    [TestCase("""{"weight_map":{"a":".."}}""", "weight_map.a: got '..', expected a file name without separators or '..'")]
    [TestCase("""{"weight_map":{"a":"."}}""", "weight_map.a: got '.', expected a file name without separators or '..'")]
    [TestCase("""{"weight_map":{"a":""}}""", "weight_map.a: got '', expected a file name without separators or '..'")]
    [TestCase("""{"weight_map":{"a":"/etc/passwd"}}""", "weight_map.a: got '/etc/passwd', expected a file name without separators or '..'")]
    [TestCase("""{"weight_map":{"a":"sub\\1.safetensors"}}""", "weight_map.a: got 'sub\\1.safetensors', expected a file name without separators or '..'")]
    [TestCase("""{"weight_map":{"a":"C:1"}}""", "weight_map.a: got 'C:1', expected a file name without separators or '..'")]
    [TestCase("""{"weight_map":{"a":"1\u0000"}}""", "weight_map.a: got '1\\u0000', expected a file name without separators or '..'")]
    [TestCase("""{"weight_map":{"\ud800":"1"}}""", "text: not JSON: Cannot read incomplete UTF-16 JSON text as string with missing low surrogate.")]
    [TestCase("""{"weight_map":{"a":"1.safetensors","b":"1.safetensors"}}""", "weight_map.b: got 1.safetensors, but the tensor is not in it")]
    [TestCase("""{"weight_map":{"a":"1.safetensors","c":"2.safetensors"}}""", "weight_map.b: missing, but the tensor is in 2.safetensors")]
    [TestCase("""{"weight_map":{"c":"2.safetensors","b":"2.safetensors","a":"2.safetensors"}}""", "weight_map.a: got 2.safetensors, but the tensor is not in it")]
    [TestCase("""{"weight_map":{"a":"3.safetensors","b":"2.safetensors","c":"2.safetensors"}}""", "weight_map.b: got 2.safetensors, but the tensor is in 3.safetensors")]
    public void Open_BrokenIndex_SaysWhatAndWhere(string json, string message)
    {
        using TemporaryFolder folder = MakeShards();
        string path = folder.Write(Index, json);
        ModelFormatException error = Assert.Throws<ModelFormatException>(() => TensorStore.Open(folder.Path).Dispose())!;
        Assert.That(error.Message, Is.EqualTo($"{path}: {message}"));
    }

    [TestCase("""{"weight_map":{"a":"1.safetensors"}""")]
    [TestCase("""{"weight_map":{"a":"1.safetensors"}} x""")]
    [TestCase("")]
    public void Open_IndexIsNotJson_SaysSo(string json)
    {
        using TemporaryFolder folder = MakeShards();
        string path = folder.Write(Index, json);
        Assert.That(() => TensorStore.Open(folder.Path), Throws.TypeOf<ModelFormatException>().With.Message.StartsWith($"{path}: text: not JSON: "));
    }

    [Test]
    public void Open_ShardMissing_NamesIt()
    {
        using TemporaryFolder folder = MakeShards();
        folder.Write(Index, """{"weight_map":{"a":"1.safetensors","b":"gone.safetensors"}}""");
        Assert.That(() => TensorStore.Open(folder.Path), Throws.TypeOf<ModelFormatException>().With.Message.EqualTo($"{folder.File("gone.safetensors")}: file: not found"));
    }

    [Test]
    public void Open_ShardTruncated_NamesIt()
    {
        using TemporaryFolder folder = MakeShards();
        string shard = folder.File("2.safetensors");
        byte[] bytes = File.ReadAllBytes(shard);
        folder.Write("2.safetensors", bytes.AsSpan(..^1));
        folder.Write(Index, """{"weight_map":{"a":"1.safetensors","b":"2.safetensors","c":"2.safetensors"}}""");
        Assert.That(() => TensorStore.Open(folder.Path), Throws.TypeOf<ModelFormatException>().With.Message.EqualTo($"{shard}: length: got {bytes.Length - 1} bytes, expected {bytes.Length}: the file is truncated"));
    }

    [Test]
    public void Open_GoodIndexWithOddities_Passes()
    {
        using TemporaryFolder folder = MakeShards();
        folder.Write(Index, """{"extra":[{"x":null}],"weight_map":{"c":"2.safetensors","a":"1.safetensors","b":"2.safetensors"},"metadata":{}} """);
        using TensorStore store = TensorStore.Open(folder.Path);
        Assert.That(store.Names, Is.EquivalentTo(["a", "b", "c"]));
    }

    [Test]
    public void Open_NoFolderOrWeights_SaysSo()
    {
        using TemporaryFolder folder = new();
        Assert.That(() => TensorStore.Open(folder.File("none")), Throws.TypeOf<ModelFormatException>().With.Message.EqualTo($"{folder.File("none")}: folder: not found"));
        Assert.That(() => TensorStore.Open(folder.Path), Throws.TypeOf<ModelFormatException>().With.Message.EqualTo($"{folder.Path}: weights: not found, expected model.safetensors or {Index}"));
    }

    /// <summary>1 holds a; 2 holds b and c; 3 holds a and b again.</summary>
    private static TemporaryFolder MakeShards()
    {
        TemporaryFolder folder = new();
        foreach ((string name, string tensors) in new[] { ("1", "a"), ("2", "bc"), ("3", "ab") })
        {
            SafetensorsWriter writer = new();
            foreach (char tensor in tensors) writer.Add(tensor.ToString(), "U8", [1], [1]);
            folder.Write($"{name}.safetensors", writer.ToArray());
        }

        return folder;
    }
}
