using System.Buffers;
using System.Text.Json;
using Equip.Model.Config;

namespace Equip.Model.Safetensors;

/// <summary>model.safetensors.index.json: which shard holds which tensor.</summary>
internal sealed class ShardIndex
{
    private static readonly SearchValues<char> _refused = SearchValues.Create("/\\:");

    private ShardIndex(Dictionary<string, string> shardOf, List<string> shards) => (ShardOf, Shards) = (shardOf, shards);

    /// <summary>The shard of each tensor.</summary>
    public Dictionary<string, string> ShardOf { get; }

    /// <summary>The shards' file names, each once, in the order of the file.</summary>
    public List<string> Shards { get; }

    /// <summary>Reads and checks the index.</summary>
    /// <param name="path">The file's name, for messages.</param>
    /// <param name="bytes">Its content.</param>
    public static ShardIndex Read(string path, ReadOnlySpan<byte> bytes)
    {
        JsonFile.RequireUtf8(path, bytes);
        Utf8JsonReader reader = new(bytes);
        try
        {
            return Read(path, ref reader);
        }
        catch (Exception failure) when (failure is JsonException or InvalidOperationException)
        {
            throw JsonFile.NotJson(path, "text", failure);
        }
    }

    private static ShardIndex Read(string path, ref Utf8JsonReader reader)
    {
        ShardIndex? index = null;
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject) throw new ModelFormatException(path, "text", "not an object");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool map = reader.ValueTextEquals("weight_map");
            reader.Read();
            if (!map)
            {
                reader.Skip();
                continue;
            }

            if (index is not null) throw new ModelFormatException(path, "weight_map", "found twice, expected once");
            index = ReadMap(path, ref reader);
        }

        // Throws if anything but white space follows.
        reader.Read();
        return index ?? throw new ModelFormatException(path, "weight_map", "missing");
    }

    private static ShardIndex ReadMap(string path, ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject) throw new ModelFormatException(path, "weight_map", "not an object");
        Dictionary<string, string> shardOf = [];
        Dictionary<string, string> known = [];
        List<string> shards = [];
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string tensor = reader.GetString()!;
            string field = $"weight_map.{JsonFile.OneLine(tensor)}";
            reader.Read();
            if (reader.TokenType != JsonTokenType.String) throw new ModelFormatException(path, field, "not the name of a file");
            string shard = reader.GetString()!;
            if (!known.TryAdd(shard, shard))
            {
                shard = known[shard];
            }
            else
            {
                RequireInFolder(path, field, shard);
                shards.Add(shard);
            }

            if (!shardOf.TryAdd(tensor, shard)) throw new ModelFormatException(path, field, "found twice, expected once");
        }

        return new ShardIndex(shardOf, shards);
    }

    /// <summary>A shard lies in the folder of its index, whatever the operating system makes of the name.</summary>
    private static void RequireInFolder(string path, string field, string shard)
    {
        if (shard.Length is 0 or > 255 || shard is "." || shard.Contains("..", StringComparison.Ordinal) || shard.AsSpan().ContainsAny(_refused) || shard.Any(char.IsControl))
            throw new ModelFormatException(path, field, $"got {JsonFile.Quote(shard)}, expected a file name without separators or '..'");
    }
}
