using Equip.Kernels.Numerics;
using Equip.Model.Config;
using Equip.Model.Safetensors;
using Equip.Model.Tokenizer;
using Equip.Model.Transformer;

namespace Equip.Model;

/// <summary>A loaded model: configuration, weights in mapped memory, tokenizer.</summary>
public sealed class LanguageModel : IDisposable
{
    private LanguageModel(string name, ModelConfig config, GenerationConfig generation, BpeTokenizer? tokenizer, ModelWeights weights)
    {
        Name = name;
        Config = config;
        Generation = generation;
        Tokenizer = tokenizer;
        Weights = weights;
    }

    /// <summary>The folder of the model that comes with Equip (Evict-7M), beside the program.</summary>
    public static string DefaultDirectory => Path.Combine(AppContext.BaseDirectory, "DefaultModel");

    /// <summary>The folder's or shape's name.</summary>
    public string Name { get; }

    /// <summary>The configuration.</summary>
    public ModelConfig Config { get; }

    /// <summary>How to sample by default, and where to stop.</summary>
    public GenerationConfig Generation { get; }

    /// <summary>The tokenizer; null for a synthetic model.</summary>
    public BpeTokenizer? Tokenizer { get; }

    /// <summary>How the matrices are stored.</summary>
    public DataType WeightType => Weights.Layers[0].Query.Type;

    /// <summary>Bytes of weights that one decode step reads.</summary>
    public long WeightBytes => Weights.BytesPerStep;

    /// <summary>Number of parameters in matrices and norms, tied ones once.</summary>
    public long Parameters => Weights.Parameters(Config.TieWordEmbeddings);

    internal ModelWeights Weights { get; }

    /// <summary>Maps a Hugging Face model folder.</summary>
    /// <param name="directory">config.json, model.safetensors or its index and shards, tokenizer.json, generation_config.json (optional).</param>
    /// <param name="weights">Null to use the weights as stored, in place; else convert the matrices at load.</param>
    /// <exception cref="ModelFormatException">A file is missing, broken or not supported.</exception>
    public static LanguageModel Load(string directory, DataType? weights = null)
    {
        ArgumentNullException.ThrowIfNull(directory);
        if (!Directory.Exists(directory)) throw new ModelFormatException(directory, "folder", "does not exist");
        ModelConfig config = ModelConfig.Load(directory);
        BpeTokenizer tokenizer = BpeTokenizer.Load(directory);
        if (tokenizer.VocabularySize > config.VocabularySize)
            throw new ModelFormatException(Path.Combine(directory, "tokenizer.json"), "vocab", $"has ids up to {tokenizer.VocabularySize - 1}, but config.json's vocab_size is {config.VocabularySize}");
        GenerationConfig generation = GenerationConfig.Load(directory);
        ModelWeights loaded = ModelWeights.FromStore(TensorStore.Open(directory), config, weights);
        string name = Path.GetFileName(Path.GetFullPath(directory).TrimEnd(Path.DirectorySeparatorChar));
        return new LanguageModel(name == "DefaultModel" ? "Evict-7M" : name, config, generation, tokenizer, loaded);
    }

    /// <summary>A model of a given shape with random weights, the same for a seed whatever the machine.</summary>
    public static LanguageModel CreateSynthetic(ModelShape shape, DataType weights, int seed = 1)
    {
        ArgumentNullException.ThrowIfNull(shape);
        return new LanguageModel(shape.Name, shape.Config, new GenerationConfig(), null, ModelWeights.Synthetic(shape.Config, weights, (ulong)seed));
    }

    /// <summary>Unmaps the weights.</summary>
    public void Dispose() => Weights.Dispose();
}
