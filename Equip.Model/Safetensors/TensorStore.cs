using Equip.Kernels.Memory;
using Equip.Kernels.Numerics;
using Equip.Model.Config;

namespace Equip.Model.Safetensors;

/// <summary>A tensor in a mapped file. Valid while its <see cref="TensorStore"/> is open.</summary>
public readonly unsafe struct TensorView
{
    /// <summary>Its name in the file.</summary>
    public required string Name { get; init; }

    /// <summary>The file it lies in.</summary>
    public required string File { get; init; }

    /// <summary>How it is stored: f32, f16 or bf16.</summary>
    public required DataType Type { get; init; }

    /// <summary>Its dimensions, outermost first.</summary>
    public required IReadOnlyList<long> Shape { get; init; }

    /// <summary>The first byte; a multiple of the element size. Read-only: writing to it ends the process.</summary>
    public required byte* Data { get; init; }

    /// <summary>Its size in bytes.</summary>
    public required long ByteLength { get; init; }
}

/// <summary>
/// The tensors of a model folder: model.safetensors, or the shards of model.safetensors.index.json, memory-mapped. The files
/// must not change while the store is open. Safe to use from several threads, except <see cref="Dispose"/>.
/// </summary>
public sealed unsafe class TensorStore : IDisposable
{
    private readonly string _root;
    private readonly List<MappedFile> _files = [];
    private readonly Dictionary<string, (MappedFile File, TensorEntry Entry)> _tensors = [];
    private readonly Dictionary<string, NativeBuffer> _aligned = [];
    private bool _disposed;

    private TensorStore(string root) => _root = root;

    /// <summary>Every tensor's name.</summary>
    public IReadOnlyCollection<string> Names => _tensors.Keys;

    /// <summary>Opens and checks the files; no tensor data is read. model.safetensors is taken if both it and an index are there.</summary>
    /// <exception cref="ModelFormatException">A file is missing or breaks the format.</exception>
    public static TensorStore Open(string directory)
    {
        ArgumentNullException.ThrowIfNull(directory);
        if (!Directory.Exists(directory)) throw new ModelFormatException(directory, "folder", "not found");
        string single = Path.Combine(directory, "model.safetensors"), index = $"{single}.index.json";
        bool sharded = !File.Exists(single);
        if (sharded && !File.Exists(index)) throw new ModelFormatException(directory, "weights", "not found, expected model.safetensors or model.safetensors.index.json");
        TensorStore store = new(sharded ? index : single);
        try
        {
            if (sharded) store.AddShards(directory, ShardIndex.Read(index, JsonFile.ReadAllBytes(index)));
            else store.Add(single);
            return store;
        }
        catch
        {
            store.Dispose();
            throw;
        }
    }

    /// <summary>Whether there is a tensor of that name.</summary>
    public bool Contains(string name) => _tensors.ContainsKey(name);

    /// <summary>
    /// The tensor, checked against the shape that the caller needs; its dtype is f32, f16 or bf16. Its bytes are those of the
    /// mapped file. Only where the file puts them off the element size's multiples, which kernels need, are they copied
    /// (once) to memory that the store owns.
    /// </summary>
    /// <param name="name">Its name in the file.</param>
    /// <param name="expectedShape">Its dimensions, outermost first; none for a scalar.</param>
    /// <exception cref="ModelFormatException">It is missing, has another shape, or a dtype that cannot be computed with.</exception>
    /// <exception cref="ObjectDisposedException">The store is closed.</exception>
    public TensorView Get(string name, params ReadOnlySpan<long> expectedShape)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (!_tensors.TryGetValue(name, out (MappedFile File, TensorEntry Entry) found))
            throw new ModelFormatException(_root, $"tensor {JsonFile.Quote(name)}", $"missing, expected shape {Text(expectedShape)}");
        (MappedFile file, TensorEntry entry) = found;
        if (entry.Type.Computable is not { } type)
            throw new ModelFormatException(file.Path, $"tensor {JsonFile.Quote(name)}.dtype", $"got {entry.Type.Name}, expected F32, F16 or BF16");
        if (!expectedShape.SequenceEqual(entry.Shape))
            throw new ModelFormatException(file.Path, $"tensor {JsonFile.Quote(name)}.shape", $"got {Text(entry.Shape)}, expected {Text(expectedShape)}");

        byte* data = file.Data + entry.Begin;
        if ((nuint)data % (nuint)type.Size() != 0) data = Aligned(name, data, entry.End - entry.Begin);
        return new TensorView
        {
            Name = name,
            File = file.Path,
            Type = type,
            Shape = Array.AsReadOnly(entry.Shape),
            Data = data,
            ByteLength = entry.End - entry.Begin,
        };
    }

    /// <summary>Unmaps the files. Safe to call twice.</summary>
    public void Dispose()
    {
        _disposed = true;
        foreach (NativeBuffer copy in _aligned.Values) copy.Dispose();
        foreach (MappedFile file in _files) file.Dispose();
    }

    private static string Text(ReadOnlySpan<long> shape) => $"[{string.Join(", ", shape.ToArray())}]";

    private void AddShards(string directory, ShardIndex index)
    {
        foreach (string shard in index.Shards)
        {
            foreach (TensorEntry entry in Add(Path.Combine(directory, shard)))
            {
                if (!index.ShardOf.TryGetValue(entry.Name, out string? expected))
                    throw new ModelFormatException(_root, $"weight_map.{JsonFile.OneLine(entry.Name)}", $"missing, but the tensor is in {shard}");
                if (expected != shard)
                    throw new ModelFormatException(_root, $"weight_map.{JsonFile.OneLine(entry.Name)}", $"got {expected}, but the tensor is in {shard}");
            }
        }

        foreach ((string name, string shard) in index.ShardOf)
            if (!_tensors.ContainsKey(name)) throw new ModelFormatException(_root, $"weight_map.{JsonFile.OneLine(name)}", $"got {shard}, but the tensor is not in it");
    }

    private List<TensorEntry> Add(string path)
    {
        MappedFile file = MappedFile.Open(path);
        _files.Add(file);
        int start = (int)Math.Min(file.Length, SafetensorsHeader.LengthBytes + SafetensorsHeader.MaxBytes);
        List<TensorEntry> entries = SafetensorsHeader.Read(path, new ReadOnlySpan<byte>(file.Data, start), file.Length);
        foreach (TensorEntry entry in entries)
            if (!_tensors.TryAdd(entry.Name, (file, entry))) throw new ModelFormatException(path, $"tensor {JsonFile.Quote(entry.Name)}", $"found twice, first in {_tensors[entry.Name].File.Path}");
        return entries;
    }

    private byte* Aligned(string name, byte* source, long bytes)
    {
        lock (_aligned)
        {
            if (!_aligned.TryGetValue(name, out NativeBuffer? copy))
            {
                copy = new NativeBuffer(bytes);
                Buffer.MemoryCopy(source, copy.Pointer, bytes, bytes);
                _aligned.Add(name, copy);
            }

            return (byte*)copy.Pointer;
        }
    }
}
