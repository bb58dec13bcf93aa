using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Equip.Kernels.Attention;

/// <summary>
/// The steps of decode attention in one instruction set, for one cache type. Rows are given by pointer; scores are
/// <c>[group, DecodeBlock.Capacity]</c>; what <c>ahead</c> lists is fetched meanwhile. Queries and value sums are in the path's own
/// order of elements.
/// </summary>
internal unsafe interface IDecodePath
{
    /// <summary>Scales queries <c>[group, headDim]</c> into the order that <see cref="Score"/> reads.</summary>
    static abstract void PrepareQueries(float* queries, int group, int headDim, float scale, float* prepared);

    /// <summary>Scores of <paramref name="count"/> K rows; up to the next multiple of 4 may be written. Fetches from <paramref name="line"/> on.</summary>
    static abstract void Score(byte** rows, in DecodeAhead ahead, ref long* line, int count, float* queries, int group, int headDim, float* scores);

    /// <summary>
    /// Scores to probabilities relative to the running maxima. Updates maxima and sums; <paramref name="rescale"/> receives the factors for
    /// the values summed before.
    /// </summary>
    static abstract void Softmax(float* scores, int count, int group, float* max, float* sum, float* rescale);

    /// <summary>sums = sums x rescale + probabilities x V rows.</summary>
    static abstract void Accumulate(byte** rows, in DecodeAhead ahead, int count, float* probabilities, float* rescale, int group, int headDim, float* sums);

    /// <summary>One head's value sums times <paramref name="factor"/>, in natural order.</summary>
    static abstract void Finish(float* sums, int headDim, float factor, float* output);

    /// <summary>sums += source x factor, natural order, a multiple of 16 elements.</summary>
    static abstract void AddScaled(float* source, float factor, int count, float* sums);

    /// <summary>weights[t] = sum over heads of exp(score - max) x inverse. May read and write up to the next multiple of 16.</summary>
    static abstract void ColumnWeights(float* scores, long headStride, int count, int group, float* max, float* inverse, float* weights);
}

/// <summary>How many heads, or vectors, a register tile takes: a constant to the compiler.</summary>
internal interface ITile
{
    static abstract int Count { get; }
}

internal readonly struct One : ITile
{
    public static int Count => 1;
}

internal readonly struct Two : ITile
{
    public static int Count => 2;
}

internal readonly struct Three : ITile
{
    public static int Count => 3;
}

internal readonly struct Four : ITile
{
    public static int Count => 4;
}
