using Equip.Kernels.Attention;
using Equip.Kernels.Linear;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Eviction;

/// <summary>What rows of a prompt weigh by their V rows: norms of v, or of v W_O by Gram matrices.</summary>
internal static unsafe class ValueTerms
{
    /// <summary><c>[count]</c>: |v|_2 or |v|_1 of rows <c>[count, headDim]</c>.</summary>
    public static float[] Norms(ReadOnlySpan<float> rows, int headDim, int count, int order)
    {
        float[] norms = new float[count];
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<float> row = rows.Slice(i * headDim, headDim);
            norms[i] = order == 1 ? RowMath.Norm1(row) : RowMath.Norm2(row);
        }

        return norms;
    }

    /// <summary><c>[count]</c>: v' G v.</summary>
    public static float[] Forms(PromptLayer prompt, float[] rows, int count, ReadOnlySpan<float> gram)
    {
        int headDim = prompt.Shape.HeadDim;
        float[] products = new float[checked(count * headDim)], forms = new float[count];
        if (count == 0) return forms;

        // v' G v = v' G' v, so it does not matter which way round the product takes G.
        fixed (float* g = gram) LinearLayer.Multiply(prompt.Context, new WeightMatrix(g, DataType.F32, headDim, headDim), rows, products, count);
        for (int i = 0; i < count; i++) forms[i] = RowMath.Dot(products.AsSpan(i * headDim, headDim), rows.AsSpan(i * headDim, headDim));
        return forms;
    }

    /// <summary><c>[count]</c>: |v W_O^h|_2 of a query head.</summary>
    public static float[] Output2(PromptLayer prompt, OutputProjection output, float[] rows, int count, int head)
        => Roots(Forms(prompt, rows, count, output.Gram(prompt.Layer, head, head)));

    /// <summary><c>[count]</c>: |v W_O^h|_1 of a query head.</summary>
    public static float[] Output1(PromptLayer prompt, OutputProjection output, float[] rows, int count, int head)
        => OutputNorms.Norm1(prompt.Context, output.HeadPart(prompt.Layer, head), rows, prompt.Shape.HeadDim, count);

    /// <summary>Square roots, in place; rounding may have left a zero just under 0.</summary>
    public static float[] Roots(float[] squares)
    {
        for (int i = 0; i < squares.Length; i++) squares[i] = MathF.Sqrt(MathF.Max(squares[i], 0));
        return squares;
    }
}
