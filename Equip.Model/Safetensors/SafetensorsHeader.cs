using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Unicode;
using Equip.Model.Config;

namespace Equip.Model.Safetensors;

/// <summary>A tensor as the header declares it. Begin and End are file offsets.</summary>
internal readonly record struct TensorEntry(string Name, StorageType Type, long[] Shape, long Begin, long End);

/// <summary>
/// The header of a safetensors file: 8 bytes of length (little-endian), then JSON, then the tensors' bytes. Read strictly,
/// because readers that forgive differently see different tensors in one file: no duplicate name, no unknown field, and the
/// tensors tile the rest of the file without hole, overlap or trailer. Tensor bytes are not looked at.
/// </summary>
internal static class SafetensorsHeader
{
    /// <summary>The format's own limit.</summary>
    public const int MaxBytes = 100_000_000;

    /// <summary>Bytes of the length field.</summary>
    public const int LengthBytes = 8;

    /// <summary>Reads and checks the header.</summary>
    /// <param name="file">The file's name, for messages.</param>
    /// <param name="start">The file from its first byte: all of it, or at least as much as a header may take.</param>
    /// <param name="fileLength">The file's length.</param>
    /// <returns>The tensors in the order of their bytes.</returns>
    public static List<TensorEntry> Read(string file, ReadOnlySpan<byte> start, long fileLength)
    {
        if (fileLength < LengthBytes) throw new ModelFormatException(file, "header length", $"the file has {fileLength} bytes, expected at least {LengthBytes}");
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(start);
        if (length > MaxBytes) throw new ModelFormatException(file, "header length", $"got {length} bytes, expected at most {MaxBytes}");
        if (length > (ulong)(fileLength - LengthBytes))
            throw new ModelFormatException(file, "header length", $"got {length} bytes, expected at most the {fileLength - LengthBytes} that follow in the file");
        ReadOnlySpan<byte> json = start.Slice(LengthBytes, (int)length);
        if (json.IsEmpty || json[0] != '{') throw new ModelFormatException(file, "header", "does not begin with '{'");
        if (!Utf8.IsValid(json)) throw new ModelFormatException(file, "header", "not UTF-8");

        long dataStart = LengthBytes + json.Length;
        HeaderReader reader = new(file, json, dataStart);
        List<TensorEntry> tensors;
        try
        {
            tensors = reader.ReadTensors();
        }
        catch (Exception failure) when (failure is JsonException or InvalidOperationException)
        {
            throw JsonFile.NotJson(file, "header", failure);
        }

        if (json[reader.BytesRead..].ContainsAnyExcept((byte)' '))
            throw new ModelFormatException(file, "header", $"has more than spaces after its object, from byte {reader.BytesRead} on");
        tensors.Sort(static (a, b) => (a.Begin, a.End, a.Name).CompareTo((b.Begin, b.End, b.Name)));
        RequireTiling(file, tensors, dataStart, fileLength);
        return tensors;
    }

    private static void RequireTiling(string file, List<TensorEntry> tensors, long dataStart, long fileLength)
    {
        long next = dataStart;
        foreach (TensorEntry tensor in tensors)
        {
            if (tensor.Begin != next)
            {
                string problem = tensor.Begin < next ? "overlaps the tensor before it" : "leaves bytes before it that belong to no tensor";
                throw new ModelFormatException(file, $"tensor {JsonFile.Quote(tensor.Name)}.data_offsets", $"begins at {tensor.Begin - dataStart}, expected {next - dataStart}: {problem}");
            }

            next = tensor.End;
        }

        if (next > fileLength) throw new ModelFormatException(file, "length", $"got {fileLength} bytes, expected {next}: the file is truncated");
        if (next < fileLength) throw new ModelFormatException(file, "length", $"got {fileLength} bytes, expected {next}: bytes after the last tensor");
    }
}
