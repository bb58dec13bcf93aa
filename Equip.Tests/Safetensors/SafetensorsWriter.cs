using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Equip.Kernels.Numerics;

namespace Equip.Tests.Safetensors;

/// <summary>Writes the safetensors format, plainly: tensors in the order they were added, header padded to a multiple of 8.</summary>
internal sealed class SafetensorsWriter
{
    private readonly JsonObject _header = [];
    private readonly List<byte> _data = [];

    /// <summary>Spaces added to the header: 1 puts every tensor at an odd file offset.</summary>
    public int ExtraSpaces { get; init; }

    public void AddMetadata(string key, string value)
    {
        JsonObject metadata = _header["__metadata__"] as JsonObject ?? [];
        metadata[key] = value;
        _header["__metadata__"] = metadata;
    }

    public void Add(string name, string dtype, long[] shape, ReadOnlySpan<byte> data)
    {
        _header.Add(name, new JsonObject
        {
            ["dtype"] = dtype,
            ["shape"] = new JsonArray([.. shape.Select(dimension => JsonValue.Create(dimension))]),
            ["data_offsets"] = new JsonArray(_data.Count, _data.Count + data.Length),
        });
        _data.AddRange(data);
    }

    public void Add(string name, DataType type, long[] shape, ReadOnlySpan<float> values) => Add(name, type.Name().ToUpperInvariant(), shape, Encode(values, type));

    public byte[] ToArray() => Assemble(_header.ToJsonString(), CollectionsMarshal.AsSpan(_data), ExtraSpaces);

    /// <summary>A file with the header as given, which may be wrong.</summary>
    public static byte[] Assemble(string header, ReadOnlySpan<byte> data, int extraSpaces = 0)
    {
        byte[] text = System.Text.Encoding.UTF8.GetBytes(header);
        int padded = ((text.Length + 7) / 8 * 8) + extraSpaces;
        byte[] file = new byte[8 + padded + data.Length];
        BinaryPrimitives.WriteInt64LittleEndian(file, padded);
        file.AsSpan(8, padded).Fill((byte)' ');
        text.CopyTo(file, 8);
        data.CopyTo(file.AsSpan(8 + padded));
        return file;
    }

    public static byte[] Encode(ReadOnlySpan<float> values, DataType type)
    {
        byte[] bytes = new byte[values.Length * type.Size()];
        for (int i = 0; i < values.Length; i++)
        {
            if (type == DataType.F32) BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(4 * i), values[i]);
            else if (type == DataType.F16) BinaryPrimitives.WriteHalfLittleEndian(bytes.AsSpan(2 * i), (Half)values[i]);
            else BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(2 * i), ToBFloat16(values[i]));
        }

        return bytes;
    }

    public static float[] Decode(ReadOnlySpan<byte> bytes, DataType type)
    {
        float[] values = new float[bytes.Length / type.Size()];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = type switch
            {
                DataType.F32 => MemoryMarshal.Read<float>(bytes[(4 * i)..]),
                DataType.F16 => (float)MemoryMarshal.Read<Half>(bytes[(2 * i)..]),
                _ => BitConverter.Int32BitsToSingle(MemoryMarshal.Read<ushort>(bytes[(2 * i)..]) << 16),
            };
        }

        return values;
    }

    private static ushort ToBFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }
}
