using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Equip.Bench.CommandLine;

/// <summary>An option that takes a list: by comma, by repeating the option, and for numbers by range.</summary>
internal sealed class ListOption<T> : Option<IReadOnlyList<T>>
{
    private readonly IReadOnlyList<T> _default;

    /// <summary>Makes the option.</summary>
    /// <param name="names">The name and its aliases.</param>
    /// <param name="description">What it means, with its unit.</param>
    /// <param name="helpName">The word for its value in the help.</param>
    /// <param name="defaults">The default, as a user would write it.</param>
    /// <param name="parseItem">The values of one item between commas; throws <see cref="FormatException"/>.</param>
    /// <param name="one">Whether only one value is taken.</param>
    public ListOption(string[] names, string description, string helpName, string defaults, Func<string, IEnumerable<T>> parseItem, bool one = false)
        : base(names[0], names[1..])
    {
        _default = [.. defaults.Split(',').SelectMany(parseItem)];
        Description = $"{description} [default: {defaults}]";
        HelpName = helpName;
        Arity = ArgumentArity.OneOrMore;
        CustomParser = result => Parse(result, parseItem, one);
    }

    /// <summary>The values given, or the default.</summary>
    public IReadOnlyList<T> Values(ParseResult parsed) => parsed.GetValue(this) ?? _default;

    /// <summary>The values given, or those of a caller with its own default.</summary>
    public IReadOnlyList<T> ValuesOr(ParseResult parsed, IReadOnlyList<T> defaults) => parsed.GetValue(this) ?? defaults;

    /// <summary>The value given, or the default, of an option that takes only one.</summary>
    public T Single(ParseResult parsed) => Values(parsed).Single();

    private T[]? Parse(ArgumentResult result, Func<string, IEnumerable<T>> parseItem, bool one)
    {
        try
        {
            T[] values = [.. result.Tokens.SelectMany(token => token.Value.Split(',', StringSplitOptions.TrimEntries)).SelectMany(parseItem).Distinct()];
            return !one || values.Length == 1 ? values : throw new FormatException($"got {values.Length} values, expected one");
        }
        catch (FormatException problem)
        {
            result.AddError($"{Name}: {problem.Message}");
            return null;
        }
    }
}

/// <summary>The usual kinds of <see cref="ListOption{T}"/>.</summary>
internal static class ListOptions
{
    public static ListOption<int> Numbers(string[] names, string description, string defaults, int min, int max = int.MaxValue, bool one = false) =>
        new(names, description, one ? "N" : "N,...", defaults, item => NumberList.ParseItem(item, min, max), one);

    public static ListOption<double> Reals(string[] names, string description, string defaults, double min, double max, bool one = false) =>
        new(names, description, one ? "X" : "X,...", defaults, item => [Real(item, min, max)], one);

    public static ListOption<T> Names<T>(string[] names, string description, Choices<T> choices, bool one = false) =>
        new(names, description, string.Join('|', choices.Names), choices.Names.First(), item => [choices.Parse(item)], one);

    private static double Real(string text, double min, double max)
    {
        if (!double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) || !(number >= min && number <= max))
            throw new FormatException(FormattableString.Invariant($"got '{text}', expected a number from {min} to {max}"));
        return number;
    }
}
