using System.CommandLine;
using Equip.Kernels.Numerics;
using Equip.Model;
using Equip.Model.Config;

namespace Equip.Bench.CommandLine;

/// <summary>The options that say which model runs, shared by run, decode and eval.</summary>
/// <param name="many">Whether the command can also run shapes with random weights, and several weight types.</param>
internal sealed class ModelSettings(bool many = false)
{
    private const DataType SyntheticType = DataType.BF16;

    private readonly Option<string?> _model = new("--model", "-m")
    {
        Description = "A Hugging Face model folder (config.json, safetensors, tokenizer.json). [default: the model that comes with equip]",
        HelpName = "DIR",
    };

    private readonly ListOption<string> _shape = new(
        ["--shape"],
        "Instead of a model: random weights in the shape of llama-160m, tinyllama-1.1b, llama-2-7b, llama-3-8b or HxLxHqxHkxF (hidden, layers, query heads, KV heads, feed-forward), each with ':LAYERS' to cut it short.",
        "NAME,...",
        "none",
        item => [item]);

    private readonly ListOption<DataType?> _weights = ListOptions.Names(["--weights"], "How the matrices are stored: as in the file, or converted at load (bf16 for a shape).", WeightTypes, one: !many);

    /// <summary>The types that matrices can have; stored leaves them as they are.</summary>
    public static Choices<DataType?> WeightTypes { get; } = new(
    [
        ("stored", null), ("f32", DataType.F32), ("f16", DataType.F16), ("bf16", DataType.BF16), ("q8", DataType.Q8),
    ]);

    /// <summary>Every option.</summary>
    public IEnumerable<Option> All => many ? [_model, _shape, _weights] : [_model, _weights];

    /// <summary>The options that say on what a suite runs.</summary>
    public IEnumerable<Option> SuiteOptions => [_shape, _weights];

    /// <summary>Whether the command line asks for a shape.</summary>
    public bool IsShape(ParseResult parsed) => many && parsed.GetResult(_shape) is not null;

    /// <summary>The folder of the model asked for; null for a shape.</summary>
    public string? DirectoryOf(ParseResult parsed) => IsShape(parsed) ? null : parsed.GetValue(_model) ?? LanguageModel.DefaultDirectory;

    /// <summary>How to open each model asked for, one at a time: every shape (or the folder) with every weight type.</summary>
    /// <exception cref="UsageException">A model and a shape were given, or a shape is not known.</exception>
    public IReadOnlyList<Func<LanguageModel>> Sources(ParseResult parsed)
    {
        IReadOnlyList<DataType?> weights = _weights.Values(parsed);
        string? directory = parsed.GetValue(_model);
        if (!IsShape(parsed))
            return [.. weights.Select<DataType?, Func<LanguageModel>>(type => () => LanguageModel.Load(directory ?? LanguageModel.DefaultDirectory, type))];
        if (directory is not null) throw new UsageException("--model and --shape: expected one of them");
        return
        [
            .. from shape in _shape.Values(parsed).Select(ParseShape).ToArray()
               from type in weights
               select new Func<LanguageModel>(() => LanguageModel.CreateSynthetic(shape, type ?? SyntheticType)),
        ];
    }

    /// <summary>The shapes asked for, or those of a caller with its own default.</summary>
    /// <exception cref="UsageException">A shape is not known.</exception>
    public IReadOnlyList<ModelShape> ShapesOr(ParseResult parsed, IReadOnlyList<ModelShape> defaults)
        => IsShape(parsed) ? [.. _shape.Values(parsed).Select(ParseShape)] : defaults;

    /// <summary>The one weight type asked for; bf16 for a shape that has none of its own.</summary>
    /// <exception cref="UsageException">There are several.</exception>
    public DataType SyntheticWeights(ParseResult parsed)
    {
        IReadOnlyList<DataType?> types = _weights.Values(parsed);
        return types.Count == 1 ? types[0] ?? SyntheticType : throw new UsageException($"--weights: got {types.Count} values, expected one with --suite");
    }

    /// <summary>Opens the model asked for, where lists are not taken.</summary>
    public LanguageModel Open(ParseResult parsed) => Sources(parsed).Single()();

    private static ModelShape ParseShape(string text)
    {
        try
        {
            return ModelShape.Parse(text);
        }
        catch (ArgumentException problem)
        {
            throw new UsageException($"--shape: {Cli.MessageOf(problem)}");
        }
    }
}
