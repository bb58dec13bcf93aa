using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Rope;

/// <summary>Rotates rows by the angles of a <see cref="RopeTable"/> (RoPE, arXiv 2104.09864).</summary>
public static class RopeRotation
{
    /// <summary>Rotates float32 rows; every token has its own angles, shared by its heads.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="table">Gives layout, headDim and the number of rotated pairs.</param>
    /// <param name="input"><c>[tokens, heads, headDim]</c>.</param>
    /// <param name="output">As <paramref name="input"/>; the same memory, or apart. Unrotated elements are copied.</param>
    /// <param name="cos"><c>[tokens, pairs]</c>.</param>
    /// <param name="sin"><c>[tokens, pairs]</c>.</param>
    /// <param name="tokens">Tokens.</param>
    /// <param name="heads">Heads of each token.</param>
    /// <exception cref="ArgumentException">A length does not fit, or spans overlap partly.</exception>
    public static void Rotate(KernelContext context, RopeTable table, ReadOnlySpan<float> input, Span<float> output, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin, int tokens, int heads)
        => throw new NotImplementedException();

    /// <summary>Rotates stored rows in place by one shared rotation (16-bit rows are rounded to nearest even).</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="table">Gives layout, headDim and the number of rotated pairs.</param>
    /// <param name="rows"><c>[count, headDim]</c>, contiguous.</param>
    /// <param name="type">f32, f16 or bf16.</param>
    /// <param name="count">Rows.</param>
    /// <param name="cos"><c>[pairs]</c>.</param>
    /// <param name="sin"><c>[pairs]</c>.</param>
    /// <exception cref="ArgumentException">A length or pointer does not fit.</exception>
    public static unsafe void RotateStored(KernelContext context, RopeTable table, void* rows, DataType type, int count, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin)
        => throw new NotImplementedException();
}
