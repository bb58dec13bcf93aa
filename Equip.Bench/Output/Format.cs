using System.Globalization;
using System.Text.Json.Nodes;

namespace Equip.Bench.Output;

/// <summary>Numbers as people read them, and reals as JSON values.</summary>
internal static class Format
{
    private static readonly string[] _units = ["B", "KiB", "MiB", "GiB", "TiB"];

    /// <summary>A real number; null if it is not finite, as JSON has no word for that.</summary>
    public static JsonNode? Real(double? value) => value is { } number && double.IsFinite(number) ? JsonValue.Create(number) : null;

    /// <summary>A list of numbers.</summary>
    public static JsonArray List(IEnumerable<double> values) => [.. values.Select(value => Real(value))];

    /// <summary>Four significant digits, no exponent: 0.01234, 1.234, 123.4, 12345.</summary>
    public static string Number(double value)
    {
        int whole = value == 0 ? 1 : (int)Math.Floor(Math.Log10(Math.Abs(value))) + 1;
        return value.ToString("F" + Math.Clamp(4 - whole, 0, 6), CultureInfo.InvariantCulture);
    }

    /// <summary>Two decimals, as ratios are compared.</summary>
    public static string Times(double value) => value.ToString("F2", CultureInfo.InvariantCulture);

    /// <summary>Three decimals, as perplexities are compared.</summary>
    public static string Perplexity(double value) => value.ToString("F3", CultureInfo.InvariantCulture);

    /// <summary>As <see cref="Number"/>, with a sign: +1.234.</summary>
    public static string Signed(double value) => (value < 0 ? "" : "+") + Number(value);

    /// <summary>"avg ± stddev".</summary>
    public static string Spread(double average, double deviation) => $"{Number(average)} ± {Number(deviation)}";

    /// <summary>Bytes a second, decimal as memory makers count: 36.64 GB/s.</summary>
    public static string Rate(double bytesPerSecond) => $"{Number(bytesPerSecond / 1e9)} GB/s";

    /// <summary>Bytes in the binary unit that leaves one to four digits before the point.</summary>
    public static string Bytes(double bytes)
    {
        int unit = 0;
        for (; Math.Abs(bytes) >= 1024 && unit < _units.Length - 1; unit++) bytes /= 1024;
        return $"{bytes.ToString(unit == 0 ? "F0" : "F1", CultureInfo.InvariantCulture)} {_units[unit]}";
    }
}
