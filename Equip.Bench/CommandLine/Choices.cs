namespace Equip.Bench.CommandLine;

/// <summary>The names that an option takes and what they stand for. A new value is one line where the table is made.</summary>
/// <param name="built">Names and values; the first one is the default.</param>
/// <param name="planned">Names of the design that this build has not (those in <paramref name="built"/> are ignored).</param>
internal sealed class Choices<T>((string Name, T Value)[] built, params string[] planned)
{
    /// <summary>The names that can be asked for.</summary>
    public IEnumerable<string> Names => built.Select(choice => choice.Name);

    /// <summary>The value of a name, any case.</summary>
    /// <exception cref="FormatException">The name is not known, or known and not built.</exception>
    public T Parse(string name)
    {
        foreach ((string known, T value) in built)
            if (known.Equals(name, StringComparison.OrdinalIgnoreCase)) return value;
        string expected = $"expected {string.Join(", ", Names)}";
        throw new FormatException(planned.Contains(name, StringComparer.OrdinalIgnoreCase) ? $"'{name}' is not in this build; {expected}" : $"got '{name}', {expected}");
    }

    /// <summary>The first name of a value.</summary>
    public string NameOf(T value) => built.First(choice => EqualityComparer<T>.Default.Equals(choice.Value, value)).Name;
}
