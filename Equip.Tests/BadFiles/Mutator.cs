using System.Text;

namespace Equip.Tests.BadFiles;

/// <summary>Seeded damage to a text file: bytes, tokens and lengths.</summary>
internal sealed class Mutator(int seed)
{
    private static readonly byte[][] _tokens =
    [
        .. new[]
        {
            "0", "-1", "1", "1e999", "0.5", "-0", "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551616", "null", "true", "{}", "[]", "\"\"",
            "\"F32\"", "\"F4\"", "\"..\"", "\"\\ud800\"", "\"\\u0000\"", "{", "}", "[", "]", ",", ":", "\"", "\\", " ", "\n", "[[[[[[[[[[[[", "\"yarn\"", "\"llama3\"", "\"mistral\"",
        }.Select(Encoding.UTF8.GetBytes),
        [0xFF], [0xC3], [0xED, 0xA0, 0x80], [0],
    ];

    private readonly Random _random = new(seed);

    /// <summary>A copy of <paramref name="source"/> with one to four faults after its first <paramref name="from"/> bytes.</summary>
    public byte[] Mutate(ReadOnlySpan<byte> source, int from = 0)
    {
        List<byte> bytes = [.. source];
        for (int faults = _random.Next(1, 5); faults > 0; faults--)
        {
            int at = _random.Next(from, bytes.Count + 1), length = Math.Min(_random.Next(1, 9), bytes.Count - at);
            switch (_random.Next(7))
            {
                case 0 when length > 0:
                    bytes[at] ^= (byte)(1 << _random.Next(8));
                    break;
                case 1:
                    bytes.RemoveRange(at, length);
                    break;
                case 2:
                    bytes.InsertRange(at, bytes.GetRange(_random.Next(from, at + 1), Math.Min(length, at - from)));
                    break;
                case 3:
                    bytes.RemoveRange(at, _random.Next(8) == 0 ? bytes.Count - at : 0);
                    break;
                case 4:
                    ReplaceNumber(bytes, at);
                    break;
                default:
                    bytes.InsertRange(at, _tokens[_random.Next(_tokens.Length)]);
                    break;
            }
        }

        return [.. bytes];
    }

    private void ReplaceNumber(List<byte> bytes, int from)
    {
        int first = bytes.FindIndex(from, static b => b is >= (byte)'0' and <= (byte)'9');
        if (first < 0) return;
        int end = bytes.FindIndex(first, static b => b is < (byte)'0' or > (byte)'9');
        bytes.RemoveRange(first, (end < 0 ? bytes.Count : end) - first);
        bytes.InsertRange(first, _tokens[_random.Next(10)]);
    }
}
