using System.Buffers.Binary;
using System.Text;
using Equip.Model;
using Equip.Model.Safetensors;
using Equip.Tests.Safetensors;

namespace Equip.Tests.BadFiles;

/// <summary>Each broken file by name, with the message that it must give.</summary>
internal sealed class SafetensorsBadFileTests
{
    private const string Good = """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F16","shape":[2,2],"data_offsets":[8,16]}}""";

    private static IEnumerable<TestCaseData> Files()
    {
        yield return File("Empty", [], "length: the file is empty");
        yield return File("SevenBytes", new byte[7], "header length: the file has 7 bytes, expected at least 8");
        yield return File("HeaderOf2To60", Length(1L << 60), "header length: got 1152921504606846976 bytes, expected at most 100000000");
        yield return File("HeaderOver2To63", Length(-1), "header length: got 18446744073709551615 bytes, expected at most 100000000");
        yield return File("HeaderJustTooLong", Length(100_000_001), "header length: got 100000001 bytes, expected at most 100000000");
        yield return File("HeaderLongerThanFile", Length(17), "header length: got 17 bytes, expected at most the 16 that follow in the file");
        yield return File("HeaderEmpty", Length(0), "header: does not begin with '{'");
        yield return Header("LeadingSpace", " {}", 0, "header: does not begin with '{'");
        yield return Header("Array", "[]", 0, "header: does not begin with '{'");
        yield return Header("TrailingLineFeed", "{}\n", 0, "header: has more than spaces after its object, from byte 2 on");
        yield return Header("TrailingObject", "{}{}", 0, "header: has more than spaces after its object, from byte 2 on");
        yield return File("NotUtf8", [8, 0, 0, 0, 0, 0, 0, 0, .. "{\""u8, 0xC3, .. "\":1}"u8, 32], "header: not UTF-8");
        yield return Header("LoneSurrogate", """{"\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1, "header: not JSON: Cannot read incomplete UTF-16 JSON text as string with missing low surrogate.");
        yield return Header("LoneSurrogateDtype", """{"a":{"dtype":"\ud800"}}""", 1, "header: not JSON: Cannot read incomplete UTF-16 JSON text as string with missing low surrogate.");
        yield return Header("Unfinished", """{"a":""", 0, "header: not JSON: ");
        yield return Header("Comment", "{/*a*/}", 0, "header: not JSON: ");
        yield return Header("TrailingComma", """{"__metadata__":{},}""", 0, "header: not JSON: ");
        yield return Header("TooDeep", $$"""{"a":{{new string('[', 9)}}""", 0, "tensor 'a': got a list, expected an object");

        yield return Header("DuplicateTensor", Good.Replace("\"b\"", "\"a\"", StringComparison.Ordinal), 16, "header: has two entries 'a', expected one");
        yield return Header("DuplicateTensorByEscape", Good.Replace("\"b\"", "\"\\u0061\"", StringComparison.Ordinal), 16, "header: has two entries 'a', expected one");
        yield return Header("DuplicateField", """{"a":{"dtype":"U8","shape":[4],"dtype":"F32","data_offsets":[0,4]}}""", 4, "tensor 'a': has two entries 'dtype', expected one");
        yield return Header("DuplicateShape", """{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}""", 4, "tensor 'a': has two entries 'shape', expected one");
        yield return Header("DuplicateOffsets", """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"data_offsets":[0,4]}}""", 4, "tensor 'a': has two entries 'data_offsets', expected one");
        yield return Header("DuplicateMetadata", """{"__metadata__":{},"__metadata__":{}}""", 0, "header: has two entries '__metadata__', expected one");
        yield return Header("DuplicateMetadataKey", """{"__metadata__":{"k":"v","k":"w"}}""", 0, "__metadata__: has two entries 'k', expected one");
        yield return Header("NestedMetadata", """{"__metadata__":{"k":{"l":"v"}}}""", 0, "__metadata__.k: got an object, expected text");
        yield return Header("MetadataNumber", """{"__metadata__":{"k":1}}""", 0, "__metadata__.k: got 1, expected text");
        yield return Header("MetadataNull", """{"__metadata__":null}""", 0, "__metadata__: got null, expected an object");

        yield return Header("TensorIsNumber", """{"a":3}""", 0, "tensor 'a': got 3, expected an object");
        yield return Header("UnknownField", """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"scale":2}}""", 1, "tensor 'a': has an entry 'scale', expected dtype, shape and data_offsets only");
        yield return Header("NoDtype", """{"a":{"shape":[1],"data_offsets":[0,1]}}""", 1, "tensor 'a'.dtype: missing");
        yield return Header("NoShape", """{"a":{"dtype":"U8","data_offsets":[0,1]}}""", 1, "tensor 'a'.shape: missing");
        yield return Header("NoOffsets", """{"a":{"dtype":"U8","shape":[1]}}""", 1, "tensor 'a'.data_offsets: missing");
        yield return Header("UnknownDtype", """{"a":{"dtype":"Q4_K","shape":[1],"data_offsets":[0,1]}}""", 1, "tensor 'a'.dtype: got Q4_K, expected a dtype of the format, such as F32, F16 or BF16");
        yield return Header("LowerCaseDtype", """{"a":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}}""", 4, "tensor 'a'.dtype: got f32, expected a dtype of the format, such as F32, F16 or BF16");
        yield return Header("DtypeNumber", """{"a":{"dtype":32,"shape":[1],"data_offsets":[0,4]}}""", 4, "tensor 'a'.dtype: got 32, expected text");

        yield return Header("NegativeOffset", """{"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}}""", 0, "tensor 'a'.data_offsets: got -1, expected integers from 0 to 9223372036854775807");
        yield return Header("MinusZero", """{"a":{"dtype":"U8","shape":[0],"data_offsets":[-0,0]}}""", 0, "tensor 'a'.data_offsets: got -0, expected integers from 0 to 9223372036854775807");
        yield return Header("FractionalOffset", """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1.0]}}""", 1, "tensor 'a'.data_offsets: got 1.0, expected integers from 0 to 9223372036854775807");
        yield return Header("OffsetOver2To63", """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,9223372036854775808]}}""", 1, "tensor 'a'.data_offsets: got 9223372036854775808, expected integers from 0 to 9223372036854775807");
        yield return Header("OffsetWrapsFileOffset", """{"a":{"dtype":"U8","shape":[1],"data_offsets":[9223372036854775806,9223372036854775807]}}""", 1, "tensor 'a'.data_offsets: got [9223372036854775806, 9223372036854775807], expected [begin, end]");
        yield return Header("OffsetsReversed", """{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}""", 1, "tensor 'a'.data_offsets: got [1, 0], expected [begin, end]");
        yield return Header("OneOffset", """{"a":{"dtype":"U8","shape":[1],"data_offsets":[1]}}""", 1, "tensor 'a'.data_offsets: got [1], expected [begin, end]");
        yield return Header("ThreeOffsets", """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}}""", 1, "tensor 'a'.data_offsets: got more than 2 numbers");
        yield return Header("OffsetsObject", """{"a":{"dtype":"U8","shape":[1],"data_offsets":{}}}""", 1, "tensor 'a'.data_offsets: got an object, expected a list");
        yield return Header("NegativeDimension", """{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}""", 1, "tensor 'a'.shape: got -1, expected integers from 0 to 9223372036854775807");
        yield return Header("ShapeNested", """{"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}}""", 1, "tensor 'a'.shape: got a list, expected integers from 0 to 9223372036854775807");
        yield return Header("RankTooLarge", $$"""{"a":{"dtype":"U8","shape":[{{string.Join(',', Enumerable.Repeat(1, 65))}}],"data_offsets":[0,1]} }""", 1, "tensor 'a'.shape: got more than 64 numbers");
        yield return Header("ShapeOverflow", """{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}""", 0, "tensor 'a'.shape: got [4294967296, 4294967296] of F32, expected less than 2^60 bytes");
        yield return Header("ShapeWrapsToRange", """{"a":{"dtype":"F32","shape":[2305843009213693952,2,2],"data_offsets":[0,0]}}""", 0, "tensor 'a'.shape: got [2305843009213693952, 2, 2] of F32, expected less than 2^60 bytes");
        yield return Header("ShapeLargerThanRange", """{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", 8, "tensor 'a'.data_offsets: span 8 bytes, expected 12 for [3] of F32");
        yield return Header("SubByteTypeEndsInsideByte", """{"a":{"dtype":"F6_E2M3","shape":[3],"data_offsets":[0,2]}}""", 2, "tensor 'a'.data_offsets: span 2 bytes, expected 2 and 2 bits for [3] of F6_E2M3");

        yield return Header("Overlap", Good.Replace("[8,16]", "[4,12]", StringComparison.Ordinal), 12, "tensor 'b'.data_offsets: begins at 4, expected 8: overlaps the tensor before it");
        yield return Header("SameRange", Good.Replace("[8,16]", "[0,8]", StringComparison.Ordinal), 8, "tensor 'b'.data_offsets: begins at 0, expected 8: overlaps the tensor before it");
        yield return Header("EmptyInsideAnother", """{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}}""", 4, "tensor 'b'.data_offsets: begins at 2, expected 4: overlaps the tensor before it");
        yield return Header("Hole", Good.Replace("[8,16]", "[12,20]", StringComparison.Ordinal), 20, "tensor 'b'.data_offsets: begins at 12, expected 8: leaves bytes before it that belong to no tensor");
        yield return Header("HoleAtStart", """{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}""", 2, "tensor 'a'.data_offsets: begins at 1, expected 0: leaves bytes before it that belong to no tensor");
        yield return Header("Trailer", Good, 19, "length: got 139 bytes, expected 136: bytes after the last tensor");
        yield return Header("TrailerWithoutTensors", "{}", 1, "length: got 17 bytes, expected 16: bytes after the last tensor");
        yield return Header("Truncated", Good, 15, "length: got 135 bytes, expected 136: the file is truncated");
        yield return Header("NameWithLineFeed", """{"a\nb":{"dtype":"U8","shape":[1]}}""", 0, "tensor 'a\\u000ab'.data_offsets: missing");
        yield return Header("NameTooLong", $$"""{"{{new string('n', 5000)}}":{} }""", 0, "header: has a name of 5000 bytes, expected at most 4096");
    }

    [TestCaseSource(nameof(Files))]
    public void Open_BrokenFile_SaysWhatAndWhere(byte[] content, string message)
    {
        using TemporaryFolder folder = new();
        string path = folder.Write("model.safetensors", content);
        ModelFormatException error = Assert.Throws<ModelFormatException>(() => TensorStore.Open(folder.Path).Dispose())!;
        // A message that ends in a space goes on with the JSON reader's own words.
        Assert.That(error.Message, message.EndsWith(' ') ? Does.StartWith($"{path}: {message}") : Is.EqualTo($"{path}: {message}"));
        Assert.That(error.Message, Does.Not.Contain('\n'));
        Assert.That(error.File, Is.EqualTo(path));
        Assert.That(message, Does.StartWith($"{error.Field}: "));
    }

    [Test]
    public void Read_Good_Passes()
    {
        byte[] file = SafetensorsWriter.Assemble(Good, new byte[16]);
        Assert.That(SafetensorsHeader.Read("f", file, file.Length).Select(entry => entry.Name), Is.EqualTo(["a", "b"]));
    }

    [Test]
    public void Open_LargestHeader_IsReadWithoutMoreMemoryThanTheFile()
    {
        // One tensor and 100,000,000 bytes of header: legal.
        byte[] header = new byte[SafetensorsHeader.MaxBytes];
        header.AsSpan().Fill((byte)' ');
        """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"""u8.CopyTo(header);
        byte[] file = [.. Length(header.Length).AsSpan(0, 8), .. header, 7];
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.That(SafetensorsHeader.Read("f", file, file.Length), Has.Count.EqualTo(1));
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(100_000));
    }

    private static TestCaseData File(string name, byte[] content, string message) => new TestCaseData(content, message).SetArgDisplayNames(name);

    private static TestCaseData Header(string name, string header, int dataBytes, string message)
    {
        // Not padded, so that what is after the object is the case's own.
        byte[] text = Encoding.UTF8.GetBytes(header.PadRight((header.Length + 7) / 8 * 8));
        byte[] content = new byte[8 + text.Length + dataBytes];
        BinaryPrimitives.WriteInt64LittleEndian(content, text.Length);
        text.CopyTo(content, 8);
        return File(name, content, message);
    }

    private static byte[] Length(long length)
    {
        byte[] file = new byte[24];
        BinaryPrimitives.WriteInt64LittleEndian(file, length);
        return file;
    }
}
