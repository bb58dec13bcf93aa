using Equip.Kernels.Attention;

namespace Equip.Kernels.Eviction;

/// <summary>The scores of a <see cref="ScoreRecipe"/>, one for every KV head and row, before pooling.</summary>
internal static class WindowRecipes
{
    /// <summary>Scores rows [first, first + count) by the last <paramref name="window"/> queries, <c>[kvHeads, count]</c>.</summary>
    public static float[] Score(PromptLayer prompt, ScoreRecipe recipe, int window, int first, int count)
    {
        AttentionShape shape = prompt.Shape;
        float[] probabilities = prompt.WindowProbabilities(window);
        if (recipe.Group == GroupReduction.Exact) return Exact(prompt, probabilities, window, first, count);
        bool mean = recipe.Group == GroupReduction.MeanAttention;
        float[] columns = AttentionColumns.Reduce(prompt.Context, shape, probabilities, window, prompt.Rows, first, count, recipe.Attention, mean);
        float[] scores = mean ? columns : new float[shape.KvHeads * count];
        for (int kvHead = 0; kvHead < shape.KvHeads; kvHead++)
        {
            float[] values = recipe.Value == ValueTerm.None ? [] : prompt.WidenValues(kvHead, first, count);
            Span<float> score = scores.AsSpan(kvHead * count, count);
            if (mean)
            {
                Multiply(score, OfGroup(prompt, recipe.Value, values, count, kvHead));
                continue;
            }

            for (int member = 0; member < shape.Group; member++)
            {
                int head = (kvHead * shape.Group) + member;
                Span<float> column = columns.AsSpan(head * count, count);
                Multiply(column, OfHead(prompt, recipe.Value, values, count, head));
                Combine(recipe.Group, score, column, member == 0);
            }

            if (recipe.Group == GroupReduction.Mean)
                foreach (ref float value in score) value /= shape.Group;
        }

        return scores;
    }

    private static float[] OfGroup(PromptLayer prompt, ValueTerm term, float[] values, int count, int kvHead) => term switch
    {
        ValueTerm.JointOutput2 => ValueTerms.Roots(ValueTerms.Forms(prompt, values, count, prompt.Projection.JointGram(prompt.Layer, kvHead))),
        ValueTerm.SummedOutput2 => ValueTerms.Roots(ValueTerms.Forms(prompt, values, count, prompt.Projection.SummedGram(prompt.Layer, kvHead))),
        ValueTerm.Output1 or ValueTerm.Output2 => MeanOfHeads(prompt, term, values, count, kvHead),
        _ => OfHead(prompt, term, values, count, 0),
    };

    /// <summary>The mean over a group's query heads of their value term, <c>[count]</c>.</summary>
    public static float[] MeanOfHeads(PromptLayer prompt, ValueTerm term, float[] values, int count, int kvHead)
    {
        float[] mean = new float[count];
        int group = prompt.Shape.Group;
        for (int head = kvHead * group; head < (kvHead + 1) * group; head++) ScoreSums.Add(mean, OfHead(prompt, term, values, count, head));
        for (int i = 0; i < count; i++) mean[i] /= group;
        return mean;
    }

    /// <summary>The value term of a query head, <c>[count]</c>, or nothing for none.</summary>
    private static float[] OfHead(PromptLayer prompt, ValueTerm term, float[] values, int count, int head) => term switch
    {
        ValueTerm.None => [],
        ValueTerm.Norm1 => ValueTerms.Norms(values, prompt.Shape.HeadDim, count, 1),
        ValueTerm.Norm2 => ValueTerms.Norms(values, prompt.Shape.HeadDim, count, 2),
        ValueTerm.Output1 => ValueTerms.Output1(prompt, prompt.Projection, values, count, head),
        ValueTerm.Output2 => ValueTerms.Output2(prompt, prompt.Projection, values, count, head),
        _ => throw new ArgumentException($"term: {term} belongs to a group, not to a head", nameof(term)),
    };

    private static float[] Exact(PromptLayer prompt, float[] probabilities, int window, int first, int count)
    {
        AttentionShape shape = prompt.Shape;
        float[] sums = new float[shape.KvHeads * count];
        float[][] values = [.. Enumerable.Range(0, shape.KvHeads).Select(kvHead => prompt.WidenValues(kvHead, first, count))];
        for (int member = 0; member < shape.Group; member++)
        {
            for (int other = member; other < shape.Group; other++)
            {
                float[] attention = AttentionColumns.InnerProducts(prompt.Context, shape, probabilities, window, prompt.Rows, first, count, member, other);
                float times = other == member ? 1 : 2;
                for (int kvHead = 0; kvHead < shape.KvHeads; kvHead++)
                {
                    int head = kvHead * shape.Group;
                    float[] forms = ValueTerms.Forms(prompt, values[kvHead], count, prompt.Projection.Gram(prompt.Layer, head + member, head + other));
                    for (int i = 0; i < count; i++) sums[(kvHead * count) + i] += times * attention[(kvHead * count) + i] * forms[i];
                }
            }
        }

        return ValueTerms.Roots(sums);
    }

    private static void Multiply(Span<float> scores, float[] factors)
    {
        for (int i = 0; i < factors.Length; i++) scores[i] *= factors[i];
    }

    private static void Combine(GroupReduction group, Span<float> all, ReadOnlySpan<float> next, bool isFirst)
    {
        if (isFirst) next.CopyTo(all);
        else if (group != GroupReduction.Max) ScoreSums.Add(all, next);
        else
            for (int i = 0; i < all.Length; i++) all[i] = MathF.Max(all[i], next[i]);
    }
}
