using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Numerics;

/// <summary>The gated activation of llama-style feed-forward layers (arXiv 2002.05202).</summary>
public static class SwiGlu
{
    /// <summary>output[i] = silu(gate[i]) * up[i], with silu(x) = x / (1 + exp(-x)).</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="gate">Any length.</param>
    /// <param name="up">As long as <paramref name="gate"/>.</param>
    /// <param name="output">At least as long; the same memory as an input, or apart.</param>
    /// <exception cref="ArgumentException">A length does not fit, or spans overlap partly.</exception>
    public static void Multiply(KernelContext context, ReadOnlySpan<float> gate, ReadOnlySpan<float> up, Span<float> output)
        => throw new NotImplementedException();
}
