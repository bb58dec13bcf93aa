using System.Globalization;
using Equip.Kernels.Attention;
using Equip.Kernels.Rope;

namespace Equip.Model.Config;

/// <summary>A model's dimensions without weights, for synthetic runs.</summary>
public sealed record ModelShape
{
    private const int MaxLayers = 1 << 12;
    private const int MaxSize = 1 << 24;

    // llama-160m is the benchmark shape of that name (feed-forward 2048), not the published JackFram/llama-160m (3072).
    private static readonly (string Name, ModelConfig Config)[] _known =
    [
        ("llama-160m", Make(768, 12, 12, 12, 2048, 32000, 2048)),
        ("tinyllama-1.1b", Make(2048, 22, 32, 4, 5632, 32000, 2048)),
        ("llama-2-7b", Make(4096, 32, 32, 32, 11008, 32000, 4096)),
        ("llama-3-8b", Make(4096, 32, 32, 8, 14336, 128256, 8192, 500000)),
    ];

    /// <summary>The name as given, layers included ("llama-2-7b:4").</summary>
    public required string Name { get; init; }

    /// <summary>The configuration.</summary>
    public required ModelConfig Config { get; init; }

    /// <summary>The names that <see cref="Parse"/> knows.</summary>
    public static IReadOnlyList<string> KnownNames { get; } = [.. _known.Select(known => known.Name)];

    /// <summary>
    /// Reads llama-160m, tinyllama-1.1b, llama-2-7b, llama-3-8b or HxLxHqxHkxF (hidden, layers, query heads, KV heads,
    /// feed-forward), each optionally followed by ":LAYERS". A shape in numbers has a vocabulary of 32000, 131072 positions
    /// and the llama family's rotation. All have an output projection of their own.
    /// </summary>
    /// <exception cref="ArgumentException">The text is none of these.</exception>
    public static ModelShape Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string[] parts = text.Split(':');
        ModelConfig config = _known.FirstOrDefault(known => known.Name.Equals(parts[0], StringComparison.OrdinalIgnoreCase)).Config ?? ParseNumbers(text, parts[0]);
        if (parts.Length > 2) throw Wrong(text, "expected one ':LAYERS' at most");
        if (parts.Length == 2) config = config with { Layers = ParseNumber(text, "layers", parts[1], MaxLayers) };
        return new ModelShape { Name = text, Config = config };
    }

    private static ModelConfig ParseNumbers(string text, string shape)
    {
        string[] numbers = shape.Split('x');
        if (numbers.Length != 5) throw Wrong(text, $"expected {string.Join(", ", KnownNames)} or HxLxHqxHkxF (hidden, layers, query heads, KV heads, feed-forward)");
        int hidden = ParseNumber(text, "hidden", numbers[0], MaxSize);
        int layers = ParseNumber(text, "layers", numbers[1], MaxLayers);
        int heads = ParseNumber(text, "query heads", numbers[2], MaxSize);
        int kvHeads = ParseNumber(text, "KV heads", numbers[3], MaxSize);
        int feedForward = ParseNumber(text, "feed-forward", numbers[4], MaxSize);
        if (heads % kvHeads != 0) throw Wrong(text, $"{heads} query heads, expected a multiple of the {kvHeads} KV heads");
        if (hidden % heads != 0) throw Wrong(text, $"hidden {hidden}, expected a multiple of the {heads} query heads");
        int headDim = hidden / heads;
        if (headDim % 16 != 0 || headDim > AttentionShape.MaxHeadDim)
            throw Wrong(text, $"hidden / query heads is {headDim}, expected a multiple of 16 up to {AttentionShape.MaxHeadDim}");
        return Make(hidden, layers, heads, kvHeads, feedForward, 32000, 131072);
    }

    private static int ParseNumber(string text, string name, string number, int max)
    {
        if (int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= 1 && value <= max) return value;
        throw Wrong(text, $"{name} is '{number}', expected an integer from 1 to {max}");
    }

    private static ArgumentException Wrong(string text, string problem) => new($"shape: got '{text}', {problem}", nameof(text));

    private static ModelConfig Make(int hidden, int layers, int heads, int kvHeads, int feedForward, int vocabulary, int positions, double theta = 10000) => new()
    {
        Family = ModelFamily.Llama,
        HiddenSize = hidden,
        IntermediateSize = feedForward,
        Layers = layers,
        Heads = heads,
        KvHeads = kvHeads,
        HeadDim = hidden / heads,
        VocabularySize = vocabulary,
        MaxPositions = positions,
        RmsNormEpsilon = 1e-5f,
        Rope = new RopeOptions { HeadDim = hidden / heads, Theta = theta },
    };
}
