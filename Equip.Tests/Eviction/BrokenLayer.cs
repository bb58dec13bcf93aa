using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;

namespace Equip.Tests.Eviction;

/// <summary>A layer of a prompt with NaN in the K and V of some rows, and so in what every row received.</summary>
internal static unsafe class BrokenLayer
{
    public static PromptLayer Of(PromptLayer prompt, SequenceCache cache, int queries, Predicate<int> broken)
    {
        for (int head = 0; head < prompt.Shape.KvHeads; head++)
        {
            for (int row = 0; row < prompt.Rows; row++)
            {
                if (!broken(row)) continue;
                new Span<float>(prompt.Key(head, row), prompt.Shape.HeadDim).Fill(float.NaN);
                new Span<float>(prompt.Value(head, row), prompt.Shape.HeadDim).Fill(float.NaN);
            }
        }

        return new PromptLayer
        {
            Context = prompt.Context,
            Layer = prompt.Layer,
            Shape = prompt.Shape,
            Keys = prompt.Keys,
            StoredKeys = prompt.StoredKeys,
            Values = prompt.Values,
            Rows = prompt.Rows,
            Past = prompt.Past,
            Positions = prompt.Positions,
            Rotations = prompt.Rotations,
            PastScores = prompt.PastScores,
            Queries = prompt.Queries + ((long)(prompt.QueryTokens - queries) * prompt.Shape.Heads * prompt.Shape.HeadDim),
            QueryTokens = queries,
            ColumnSums = Enumerable.Repeat(float.NaN, prompt.ColumnSums.Length).ToArray(),
            Heads = cache.LayerMemory(prompt.Layer),
            Output = prompt.Output,
            Rope = prompt.Rope,
        };
    }
}
