using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;
using Equip.Kernels.Linear;

namespace Equip.Kernels.Interop;

/// <summary>A caller's prompt as a policy sees it.</summary>
internal static unsafe class NativePrompt
{
    /// <summary>Lets a policy store the rows that stay of a layer's prompt, in a layer that is empty; if it fails, the layer is empty again.</summary>
    public static void Store(KernelContext context, IEvictionPolicy policy, NativeCache cache, int layer, in EquipPrompt prompt)
    {
        AttentionShape shape = cache.Shape;
        foreach (HeadCache head in cache.Layer(layer))
            if (head.Count != 0) throw new InteropException(EquipStatus.InvalidState, $"cache: layer {layer} holds tokens already, expected none; feed a further prompt token by token");
        PromptLayer view = View(context, policy, cache, layer, prompt, shape);
        try
        {
            policy.AfterPromptLayer(view, cache.Rows);
            cache.AfterPrompt(context, layer);
        }
        catch
        {
            foreach (HeadCache head in cache.Layer(layer)) head.Clear();
            throw;
        }
    }

    /// <summary>The last queries that are needed: all for column sums, as the caller's attention gives none.</summary>
    public static int QueryTokens(IEvictionPolicy policy) => policy.WantsColumnSums ? int.MaxValue : policy.PromptQueryTokens;

    private static PromptLayer View(KernelContext context, IEvictionPolicy policy, NativeCache cache, int layer, in EquipPrompt prompt, in AttentionShape shape)
    {
        int tokens = Argument.Count(prompt.Tokens, "prompt->tokens", least: 1);
        Require.InRange(prompt.FirstPosition, 0, int.MaxValue - tokens, "prompt->first_position");
        int needed = Math.Min(QueryTokens(policy), tokens), given = prompt.QueryTokens;
        Require.InRange(given, needed, tokens, "prompt->query_tokens");
        int element = shape.RowBytes / shape.HeadDim, width = shape.Heads * shape.HeadDim;
        long bytes = Argument.Product(shape.KvHeads, tokens, shape.RowBytes, name: "prompt->tokens");
        Argument.Memory(prompt.Keys, bytes, element, "prompt->keys");
        Argument.Memory(prompt.Values, bytes, element, "prompt->values");
        Argument.Input(prompt.Queries, Argument.Product(given, width), "prompt->queries");
        int[] positions = new int[Argument.Count(Argument.Product(shape.KvHeads, tokens), "prompt->tokens")];
        for (int i = 0; i < positions.Length; i++) positions[i] = prompt.FirstPosition + (i % tokens);
        return new PromptLayer
        {
            Context = context,
            Layer = layer,
            Shape = shape,
            Keys = prompt.Keys,
            StoredKeys = prompt.Keys,
            Values = prompt.Values,
            Rows = tokens,
            Past = 0,
            Positions = positions,
            Rotations = positions,
            PastScores = default,
            Queries = prompt.Queries == null ? null : prompt.Queries + ((long)(given - needed) * width),
            QueryTokens = needed,
            ColumnSums = policy.WantsColumnSums ? ColumnSums(context, prompt, shape) : default,
            Heads = cache.Rows.LayerMemory(layer),
            Output = Output(context, prompt, layer, shape),
            Rope = cache.Rope,
        };
    }

    private static float[] ColumnSums(KernelContext context, in EquipPrompt prompt, in AttentionShape shape)
    {
        int tokens = (int)prompt.Tokens;
        float[] sums = new float[Argument.Count(Argument.Product(shape.KvHeads, tokens), "prompt->tokens")];
        PrefillKeys keys = new() { Keys = prompt.Keys, Values = prompt.Values, HeadStride = tokens };
        PrefillAttention.ColumnSums(context, shape, new ReadOnlySpan<float>(prompt.Queries + ((long)(prompt.QueryTokens - tokens) * shape.Heads * shape.HeadDim), tokens * shape.Heads * shape.HeadDim), keys, sums, tokens);
        return sums;
    }

    /// <summary>The layer's output projection, in the place where policies look for it.</summary>
    private static OutputProjection? Output(KernelContext context, in EquipPrompt prompt, int layer, in AttentionShape shape)
    {
        if (prompt.Output == null) return null;
        WeightMatrix matrix = Exports.Matrix(prompt.Output, "prompt->output");
        if (matrix.Columns != shape.Heads * shape.HeadDim) Argument.Throw($"prompt->output->columns: got {matrix.Columns}, expected {shape.Heads * shape.HeadDim}, heads * head_dim");
        return new OutputProjection(context, Enumerable.Repeat(matrix, layer + 1), shape.Heads, shape.KvHeads);
    }
}
