using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Kernels.Numerics;
using Equip.Model.Config;
using Equip.Model.Safetensors;

namespace Equip.Model.Transformer;

/// <summary>The weights of one layer. Matrices are <c>[outputs, inputs]</c>; vectors are float32 copies (a few KB).</summary>
internal sealed record LayerWeights
{
    public required float[] AttentionNorm { get; init; }        // [hidden]

    public required float[] FeedForwardNorm { get; init; }      // [hidden]

    public float[]? QueryNorm { get; init; }                    // [headDim], qwen3

    public float[]? KeyNorm { get; init; }                      // [headDim], qwen3

    public required WeightMatrix Query { get; init; }           // [heads * headDim, hidden]

    public required WeightMatrix Key { get; init; }             // [kvHeads * headDim, hidden]

    public required WeightMatrix Value { get; init; }           // [kvHeads * headDim, hidden]

    public required WeightMatrix Output { get; init; }          // [hidden, heads * headDim]

    /// <summary>The feed-forward block; null in a layer with experts.</summary>
    public FeedForwardWeights? FeedForward { get; init; }

    public MixtureWeights? Mixture { get; init; }

    public float[]? QueryBias { get; init; }

    public float[]? KeyBias { get; init; }

    public float[]? ValueBias { get; init; }

    public float[]? OutputBias { get; init; }

    /// <summary>The feed-forward blocks: one, or the experts and behind them the shared one.</summary>
    public IEnumerable<FeedForwardWeights> Blocks => Mixture is null ? [FeedForward!] : Mixture.Shared is { } shared ? [.. Mixture.Experts, shared] : Mixture.Experts;
}

/// <summary>
/// All weights of a model. Matrices are used where they lie, in the mapped file and its dtype, unless another type was asked
/// for; then they are converted once, at load, into native memory.
/// </summary>
internal sealed class ModelWeights : IDisposable
{
    private readonly IDisposable _source;
    private readonly int _expertsPerToken;

    private ModelWeights(IDisposable source, IWeightSource weights, ModelConfig config)
    {
        _source = source;
        _expertsPerToken = config.Mixture?.ExpertsPerToken ?? 0;
        int hidden = config.HiddenSize, query = config.Heads * config.HeadDim, kv = config.KvHeads * config.HeadDim;
        // Rows of the embedding are looked up, never multiplied: it keeps the file's type even when matrices are converted.
        Embedding = weights.Matrix("model.embed_tokens.weight", config.VocabularySize, hidden, convert: false);
        Head = config.TieWordEmbeddings
            ? weights.Matrix("model.embed_tokens.weight", config.VocabularySize, hidden, convert: true)
            : weights.Matrix("lm_head.weight", config.VocabularySize, hidden, convert: true);
        FinalNorm = weights.Vector("model.norm.weight", hidden);
        Layers = new LayerWeights[config.Layers];
        for (int layer = 0; layer < config.Layers; layer++)
        {
            string attention = $"model.layers.{layer}.self_attn.";
            Layers[layer] = new LayerWeights
            {
                AttentionNorm = weights.Vector($"model.layers.{layer}.input_layernorm.weight", hidden),
                FeedForwardNorm = weights.Vector($"model.layers.{layer}.post_attention_layernorm.weight", hidden),
                QueryNorm = config.QkNorm ? weights.Vector(attention + "q_norm.weight", config.HeadDim) : null,
                KeyNorm = config.QkNorm ? weights.Vector(attention + "k_norm.weight", config.HeadDim) : null,
                Query = weights.Matrix(attention + "q_proj.weight", query, hidden, convert: true),
                Key = weights.Matrix(attention + "k_proj.weight", kv, hidden, convert: true),
                Value = weights.Matrix(attention + "v_proj.weight", kv, hidden, convert: true),
                Output = weights.Matrix(attention + "o_proj.weight", hidden, query, convert: true),
                FeedForward = config.Mixture?.Has(layer) == true ? null : FeedForwardReader.ReadBlock(weights, config, $"model.layers.{layer}.mlp."),
                Mixture = config.Mixture?.Has(layer) == true ? FeedForwardReader.ReadMixture(weights, config, layer) : null,
                QueryBias = config.AttentionBias ? weights.Vector(attention + "q_proj.bias", query) : null,
                KeyBias = config.AttentionBias ? weights.Vector(attention + "k_proj.bias", kv) : null,
                ValueBias = config.AttentionBias ? weights.Vector(attention + "v_proj.bias", kv) : null,
                OutputBias = config.AttentionOutputBias ? weights.Vector(attention + "o_proj.bias", hidden) : null,
            };
        }
    }

    /// <summary><c>[vocabulary, hidden]</c>, for look-up.</summary>
    public WeightMatrix Embedding { get; }

    /// <summary><c>[vocabulary, hidden]</c>, the output projection.</summary>
    public WeightMatrix Head { get; }

    /// <summary><c>[hidden]</c>.</summary>
    public float[] FinalNorm { get; }

    /// <summary>The layers, first to last.</summary>
    public LayerWeights[] Layers { get; }

    /// <summary>Bytes of matrices that one decode step of one sequence reads; of experts, the chosen ones.</summary>
    public long BytesPerStep => Head.Bytes + Layers.Sum(layer => AttentionMatrices(layer).Sum(matrix => matrix.Bytes)) + FeedForwardBytesPerStep;

    /// <summary>The feed-forward blocks' part of it.</summary>
    public long FeedForwardBytesPerStep => Layers.Sum(layer => layer.Mixture is { } mixture
        ? mixture.Router.Bytes + (_expertsPerToken * mixture.Experts[0].Bytes) + (mixture.Shared is { } shared ? shared.Bytes + mixture.SharedGate.Bytes : 0)
        : layer.FeedForward!.Bytes);

    /// <summary>Elements of all matrices and norms.</summary>
    public long Parameters(bool tied)
    {
        long count = Count(Embedding) + FinalNorm.Length + (tied ? 0 : Count(Head));
        foreach (LayerWeights layer in Layers)
            count += Matrices(layer).Sum(Count) + layer.AttentionNorm.Length + layer.FeedForwardNorm.Length + (layer.QueryNorm?.Length ?? 0) + (layer.KeyNorm?.Length ?? 0);
        return count;

        static long Count(WeightMatrix matrix) => (long)matrix.Rows * matrix.Columns;
    }

    private static IEnumerable<WeightMatrix> AttentionMatrices(LayerWeights layer) => [layer.Query, layer.Key, layer.Value, layer.Output];

    private static IEnumerable<WeightMatrix> Matrices(LayerWeights layer)
    {
        IEnumerable<WeightMatrix> matrices = AttentionMatrices(layer).Concat(layer.Blocks.SelectMany(block => new[] { block.Gate, block.Up, block.Down }));
        return layer.Mixture is not { } mixture ? matrices : matrices.Append(mixture.Router).Concat(mixture.Shared is null ? [] : [mixture.SharedGate]);
    }

    /// <summary>Takes the weights of a mapped folder, which it then owns.</summary>
    /// <exception cref="ModelFormatException">A tensor is missing or has the wrong shape or type.</exception>
    public static ModelWeights FromStore(TensorStore store, ModelConfig config, DataType? convertTo)
    {
        StoredWeights weights = new(store, convertTo);
        try
        {
            return new ModelWeights(weights, weights, config);
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>Random weights, the same for a seed whatever the machine.</summary>
    public static ModelWeights Synthetic(ModelConfig config, DataType type, ulong seed)
    {
        using KernelContext context = new();
        GeneratedWeights weights = new(context, type, seed);
        return new ModelWeights(weights, weights, config);
    }

    /// <summary>Frees converted matrices and unmaps the files.</summary>
    public void Dispose()
    {
        foreach (FeedForwardWeights block in Layers.SelectMany(layer => layer.Blocks)) block.ForPruning?.Dispose();
        _source.Dispose();
    }
}
