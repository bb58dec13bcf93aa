using System.Globalization;
using System.Text;

namespace Equip.Model.Tokenizer;

/// <summary>The "model" of tokenizer.json: a vocabulary, and the merges that make its tokens out of characters.</summary>
internal sealed class BpeModel
{
    private readonly Dictionary<string, int> _vocabulary;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    private readonly Dictionary<long, (int Rank, int Id)> _merges;
    private readonly int[]? _byteTokens;
    private readonly int? _unknown;
    private readonly bool _fuseUnknown, _ignoreMerges;

    /// <summary>Reads a model of type BPE.</summary>
    public BpeModel(JsonField field)
    {
        if (!field["type"].IsNull && field.Type != "BPE") throw field.NotSupported("BPE");
        foreach (string name in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
            if (!field[name].IsNull && field[name].Text().Length > 0) throw field[name].Error("is not supported, expected null");
        if (!field["dropout"].IsNull && !field["dropout"].IsZero) throw field["dropout"].Error("is not supported, expected null: encoding would be random");

        _fuseUnknown = field["fuse_unk"].Flag(false);
        _ignoreMerges = field["ignore_merges"].Flag(false);
        JsonField vocabulary = field["vocab"];
        _vocabulary = new Dictionary<string, int>(vocabulary.IsObject ? vocabulary.Count : 0, StringComparer.Ordinal);
        _lookup = _vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach ((string token, JsonField id) in vocabulary.Members()) _vocabulary.Add(token, id.Integer(int.MaxValue - 1));

        JsonField unknown = field["unk_token"];
        if (!unknown.IsNull) _unknown = Find(unknown, unknown.Text());
        if (field["byte_fallback"].Flag(false))
        {
            _byteTokens = new int[256];
            for (int value = 0; value < 256; value++) _byteTokens[value] = _vocabulary.GetValueOrDefault($"<0x{value:X2}>", -1);
        }

        JsonField merges = field["merges"];
        _merges = new Dictionary<long, (int Rank, int Id)>(merges.Count);
        foreach (JsonField merge in merges.Items())
        {
            (string left, string right) = ReadMerge(merge);
            // A pair that is listed twice has the rank of its last line, as in Hugging Face's reader.
            _merges[Pair(Find(merge, left), Find(merge, right))] = (_merges.Count, Find(merge, left + right));
        }
    }

    /// <summary>Tokens and their ids, as the file lists them.</summary>
    public IReadOnlyDictionary<string, int> Vocabulary => _vocabulary;

    /// <summary>
    /// Appends the ids of one piece. A character without a token becomes its bytes' tokens or the unknown token; where the
    /// model has neither, it is dropped, as Hugging Face's encoder does.
    /// </summary>
    public void Encode(ReadOnlySpan<char> piece, BpeScratch scratch, List<int> ids)
    {
        if (_ignoreMerges && _lookup.TryGetValue(piece, out int whole))
        {
            ids.Add(whole);
            return;
        }

        if (scratch.TryCopyKnown(piece, ids)) return;
        int first = ids.Count;
        AddCharacters(piece, scratch);
        scratch.Merge(_merges, ids);
        scratch.Remember(piece, ids, first);
    }

    /// <summary>
    /// The key of two neighbours in the merge table. The odd factor keeps keys apart and spreads them: a long's own hash code is
    /// one half xor the other, which makes pairs of small ids collide.
    /// </summary>
    internal static long Pair(int left, int right) => unchecked((((long)left << 32) | (uint)right) * (long)0x9E3779B97F4A7C15);

    private void AddCharacters(ReadOnlySpan<char> piece, BpeScratch scratch)
    {
        bool afterUnknown = false;
        Span<byte> utf8 = stackalloc byte[4];
        for (int at = 0, length; at < piece.Length; at += length)
        {
            Rune.DecodeFromUtf16(piece[at..], out Rune rune, out length);
            bool isKnown = _lookup.TryGetValue(piece.Slice(at, length), out int id);
            if (isKnown)
            {
                scratch.Add(id);
            }
            else if (_byteTokens is not null && HaveTokens(utf8[..rune.EncodeToUtf8(utf8)]))
            {
                foreach (byte value in utf8[..rune.Utf8SequenceLength]) scratch.Add(_byteTokens[value]);
                isKnown = true;
            }
            else if (_unknown is int unknown && !(_fuseUnknown && afterUnknown))
            {
                scratch.Add(unknown);
            }

            afterUnknown = !isKnown;
        }
    }

    private bool HaveTokens(ReadOnlySpan<byte> bytes)
    {
        foreach (byte value in bytes)
            if (_byteTokens![value] < 0) return false;
        return true;
    }

    private static (string Left, string Right) ReadMerge(JsonField merge)
    {
        if (!merge.IsText) return merge.Count == 2 ? (merge[0].Text(), merge[1].Text()) : throw merge.Error($"got {merge.Count} parts, expected two tokens");
        string[] parts = merge.Text().Split(' ');
        return parts.Length == 2 ? (parts[0], parts[1]) : throw merge.Error($"got {parts.Length} parts, expected two tokens");
    }

    private int Find(JsonField field, string token) =>
        _vocabulary.TryGetValue(token, out int id) ? id : throw field.Error($"\"{token}\" is not in model.vocab");
}
