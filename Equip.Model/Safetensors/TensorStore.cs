using Equip.Kernels.Numerics;

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

    /// <summary>The first byte.</summary>
    public required byte* Data { get; init; }

    /// <summary>Its size in bytes.</summary>
    public required long ByteLength { get; init; }
}

/// <summary>The tensors of a model folder: model.safetensors, or the shards of model.safetensors.index.json, memory-mapped.</summary>
public sealed class TensorStore : IDisposable
{
    /// <summary>Opens and checks the files; no tensor data is read.</summary>
    /// <exception cref="ModelFormatException">A file is missing or breaks the format.</exception>
    public static TensorStore Open(string directory) => throw new NotImplementedException();

    /// <summary>Every tensor's name.</summary>
    public IReadOnlyCollection<string> Names => throw new NotImplementedException();

    /// <summary>Whether there is a tensor of that name.</summary>
    public bool Contains(string name) => throw new NotImplementedException();

    /// <summary>The tensor, checked against the shape that the caller needs; its dtype is f32, f16 or bf16.</summary>
    /// <exception cref="ModelFormatException">It is missing, has another shape, or a dtype that cannot be computed with.</exception>
    public TensorView Get(string name, params ReadOnlySpan<long> expectedShape) => throw new NotImplementedException();

    /// <summary>Unmaps the files.</summary>
    public void Dispose() => throw new NotImplementedException();
}
