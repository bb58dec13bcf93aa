using Equip.Kernels.Numerics;
using Equip.Model.Config;
using Equip.Model.Tokenizer;

namespace Equip.Model;

/// <summary>A loaded model: configuration, weights in mapped memory, tokenizer.</summary>
public sealed class LanguageModel : IDisposable
{
    /// <summary>The folder of the model that comes with Equip (Evict-7M), beside the program.</summary>
    public static string DefaultDirectory => Path.Combine(AppContext.BaseDirectory, "DefaultModel");

    /// <summary>The folder's or shape's name.</summary>
    public string Name => throw new NotImplementedException();

    /// <summary>The configuration.</summary>
    public ModelConfig Config => throw new NotImplementedException();

    /// <summary>How to sample by default.</summary>
    public GenerationConfig Generation => throw new NotImplementedException();

    /// <summary>The tokenizer; null for a synthetic model.</summary>
    public BpeTokenizer? Tokenizer => throw new NotImplementedException();

    /// <summary>How the matrices are stored.</summary>
    public DataType WeightType => throw new NotImplementedException();

    /// <summary>Bytes of weights that one decode step reads.</summary>
    public long WeightBytes => throw new NotImplementedException();

    /// <summary>Number of parameters.</summary>
    public long Parameters => throw new NotImplementedException();

    /// <summary>Maps a Hugging Face model folder.</summary>
    /// <param name="directory">config.json, model.safetensors or its index and shards, tokenizer.json, generation_config.json (optional).</param>
    /// <param name="weights">Null to use the weights as stored, in place; else convert the matrices at load.</param>
    /// <exception cref="ModelFormatException">A file is missing, broken or not supported.</exception>
    public static LanguageModel Load(string directory, DataType? weights = null) => throw new NotImplementedException();

    /// <summary>A model of a given shape with random weights.</summary>
    public static LanguageModel CreateSynthetic(ModelShape shape, DataType weights, int seed = 1) => throw new NotImplementedException();

    /// <summary>Unmaps the weights.</summary>
    public void Dispose() => throw new NotImplementedException();
}
