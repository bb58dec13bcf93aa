using System.Text;
using System.Text.Json;
using Equip.Model.Config;

namespace Equip.Model.Safetensors;

/// <summary>
/// Reads the JSON of a safetensors header in one pass, without a tree in between. Text that is not JSON throws
/// <see cref="JsonException"/>, an escaped surrogate that stands alone InvalidOperationException.
/// </summary>
internal ref struct HeaderReader(string file, ReadOnlySpan<byte> json, long dataStart)
{
    // The format has no limits for these. Without them a small file could ask for memory several times its size.
    private const int MaxRank = 64;
    private const int MaxNameBytes = 4096;

    private const string MetadataName = "__metadata__";

    private Utf8JsonReader _reader = new(json, new JsonReaderOptions { MaxDepth = 8 });

    // The entry of the header that is being read; null between entries.
    private string? _entry;

    /// <summary>Bytes read so far: the object's end once <see cref="ReadTensors"/> has returned.</summary>
    public readonly int BytesRead => (int)_reader.BytesConsumed;

    public List<TensorEntry> ReadTensors()
    {
        List<TensorEntry> tensors = [];
        HashSet<string> names = [];
        _reader.Read();
        while (NextName() is { } name)
        {
            if (!names.Add(name)) throw Twice(name);
            _entry = name;
            _reader.Read();
            if (name == MetadataName) ReadMetadata();
            else tensors.Add(ReadTensor(name));
            _entry = null;
        }

        return tensors;
    }

    private void ReadMetadata()
    {
        Expect(JsonTokenType.StartObject);
        HashSet<string> names = [];
        while (NextName() is { } name)
        {
            if (!names.Add(name)) throw Twice(name);
            _reader.Read();
            Expect(JsonTokenType.String, name);
        }
    }

    private TensorEntry ReadTensor(string name)
    {
        Expect(JsonTokenType.StartObject);
        StorageType? type = null;
        long[]? shape = null;
        long[]? offsets = null;
        while (NextName() is { } field)
        {
            _reader.Read();
            switch (field)
            {
                case "dtype":
                    if (type is not null) throw Twice(field);
                    Expect(JsonTokenType.String, field);
                    type = StorageType.Find(in _reader) ?? throw Error(field, $"got {Found()}, expected a dtype of the format, such as F32, F16 or BF16");
                    break;
                case "shape":
                    if (shape is not null) throw Twice(field);
                    shape = ReadNumbers(field, MaxRank);
                    break;
                case "data_offsets":
                    if (offsets is not null) throw Twice(field);
                    offsets = ReadNumbers(field, 2);
                    break;
                default:
                    throw Error(null, $"has an entry {JsonFile.Quote(field)}, expected dtype, shape and data_offsets only");
            }
        }

        if (type is null) throw Error("dtype", "missing");
        if (shape is null) throw Error("shape", "missing");
        if (offsets is null) throw Error("data_offsets", "missing");
        if (offsets.Length != 2 || offsets[0] > offsets[1] || offsets[1] > long.MaxValue - dataStart)
            throw Error("data_offsets", $"got [{string.Join(", ", offsets)}], expected [begin, end]");
        RequireSize(type, shape, offsets[1] - offsets[0]);
        return new TensorEntry(name, type, shape, dataStart + offsets[0], dataStart + offsets[1]);
    }

    /// <summary>A list of non-negative integers.</summary>
    private long[] ReadNumbers(string field, int maxCount)
    {
        Expect(JsonTokenType.StartArray, field);
        Span<long> numbers = stackalloc long[MaxRank];
        int count = 0;
        while (_reader.Read() && _reader.TokenType != JsonTokenType.EndArray)
        {
            if (_reader.TokenType != JsonTokenType.Number || !_reader.TryGetUInt64(out ulong number) || number > long.MaxValue)
                throw Error(field, $"got {Found()}, expected integers from 0 to {long.MaxValue}");
            if (count == maxCount) throw Error(field, $"got more than {maxCount} numbers");
            numbers[count++] = (long)number;
        }

        return numbers[..count].ToArray();
    }

    /// <summary>Shape times dtype must be the byte range, without overflow on the way.</summary>
    private readonly void RequireSize(StorageType type, long[] shape, long bytes)
    {
        UInt128 bits = (UInt128)type.Bits;
        foreach (long dimension in shape)
        {
            bits *= (UInt128)dimension;
            if (bits > long.MaxValue) throw Error("shape", $"got [{string.Join(", ", shape)}] of {type.Name}, expected less than 2^60 bytes");
        }

        if (bits != (UInt128)bytes * 8)
            throw Error("data_offsets", $"span {bytes} bytes, expected {bits / 8}{(bits % 8 == 0 ? string.Empty : $" and {bits % 8} bits")} for [{string.Join(", ", shape)}] of {type.Name}");
    }

    /// <summary>The next property's name, or null at the object's end.</summary>
    private string? NextName()
    {
        _reader.Read();
        if (_reader.TokenType == JsonTokenType.EndObject) return null;
        if (_reader.ValueSpan.Length > MaxNameBytes) throw Error(null, $"has a name of {_reader.ValueSpan.Length} bytes, expected at most {MaxNameBytes}");
        return _reader.GetString();
    }

    private readonly void Expect(JsonTokenType type, string? field = null)
    {
        if (_reader.TokenType == type) return;
        string expected = type switch { JsonTokenType.StartObject => "an object", JsonTokenType.StartArray => "a list", _ => "text" };
        throw Error(field, $"got {Found()}, expected {expected}");
    }

    private readonly string Found() => _reader.TokenType switch
    {
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => "a list",
        _ => JsonFile.OneLine(Encoding.UTF8.GetString(_reader.ValueSpan[..Math.Min(_reader.ValueSpan.Length, MaxNameBytes)])),
    };

    private readonly ModelFormatException Twice(string name) => Error(null, $"has two entries {JsonFile.Quote(name)}, expected one");

    private readonly ModelFormatException Error(string? field, string problem)
    {
        string entry = _entry is null ? "header" : _entry == MetadataName ? MetadataName : $"tensor {JsonFile.Quote(_entry)}";
        return new ModelFormatException(file, field is null ? entry : $"{entry}.{JsonFile.OneLine(field)}", problem);
    }
}
