namespace Equip.Model.Config;

/// <summary>A model's dimensions without weights, for synthetic runs.</summary>
public sealed record ModelShape
{
    /// <summary>The name as given, layers included ("llama-2-7b:4").</summary>
    public required string Name { get; init; }

    /// <summary>The configuration.</summary>
    public required ModelConfig Config { get; init; }

    /// <summary>The names that <see cref="Parse"/> knows.</summary>
    public static IReadOnlyList<string> KnownNames => throw new NotImplementedException();

    /// <summary>
    /// Reads llama-160m, tinyllama-1.1b, llama-2-7b, llama-3-8b or HxLxHqxHkxF (hidden, layers, query heads, KV heads,
    /// feed-forward), each optionally followed by ":LAYERS".
    /// </summary>
    /// <exception cref="ArgumentException">The text is none of these.</exception>
    public static ModelShape Parse(string text) => throw new NotImplementedException();
}
