using System.Runtime.Intrinsics;
using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Numerics;

/// <summary>The gated activation of llama-style feed-forward layers (arXiv 2002.05202).</summary>
public static unsafe class SwiGlu
{
    // Under this, waking the other threads costs more than they save.
    private const int LeastElementsPerChunk = 4096;

    // Chunks begin at multiples of this, so every path cuts whole vectors and thread counts agree to the bit.
    private const int Unit = 64;

    /// <summary>output[i] = silu(gate[i]) * up[i], with silu(x) = x / (1 + exp(-x)).</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="gate">Any length.</param>
    /// <param name="up">As long as <paramref name="gate"/>.</param>
    /// <param name="output">At least as long; the same memory as an input, or apart.</param>
    /// <exception cref="ArgumentException">A length does not fit, or spans overlap partly.</exception>
    public static void Multiply(KernelContext context, ReadOnlySpan<float> gate, ReadOnlySpan<float> up, Span<float> output)
    {
        ArgumentNullException.ThrowIfNull(context);
        int length = gate.Length;
        if (up.Length != length) throw new ArgumentException($"up: got {up.Length} elements, expected {length} as gate has", nameof(up));
        Require.AtLeast(output.Length, length);
        output = output[..length];
        Require.NoPartialOverlap(gate, output, nameof(output));
        Require.NoPartialOverlap(up, output, nameof(output));
        if (length == 0) return;

        fixed (float* g = gate, u = up, o = output)
        {
            switch (context.Isa)
            {
                case Isa.Avx512: Run<Avx512Lanes, Vector512<float>, Vector512<uint>>(context, g, u, o, length); break;
                case Isa.Avx2: Run<Avx2Lanes, Vector256<float>, Vector256<uint>>(context, g, u, o, length); break;
                default: Run<ScalarLanes, float, uint>(context, g, u, o, length); break;
            }
        }
    }

    private static void Run<TLanes, TFloats, TWords>(KernelContext context, float* gate, float* up, float* output, int length)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        int chunks = Partition.Chunks(context, ((long)length + Unit - 1) / Unit, Unit, LeastElementsPerChunk);
        context.Pool.Run(new Job<TLanes, TFloats, TWords> { Gate = gate, Up = up, Output = output, Length = length, Chunks = chunks }, chunks);
    }

    private struct Job<TLanes, TFloats, TWords> : IParallelJob
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        public float* Gate, Up, Output;
        public int Length, Chunks;

        public readonly void Execute(int chunk, int worker)
        {
            long units = ((long)Length + Unit - 1) / Unit;
            int i = (int)(Partition.First(units, chunk, Chunks) * Unit), end = (int)Math.Min(Length, Partition.First(units, chunk + 1, Chunks) * Unit);
            for (; i + TLanes.Count <= end; i += TLanes.Count)
                TLanes.Store(Gated(TLanes.Load(Gate + i), TLanes.Load(Up + i)), Output + i);
            if (i < end)
                TLanes.StorePartial(Gated(TLanes.LoadPartial(Gate + i, end - i, 0), TLanes.LoadPartial(Up + i, end - i, 0)), Output + i, end - i);
        }

        private static TFloats Gated(TFloats gate, TFloats up)
        {
            TFloats denominator = TLanes.Add(TLanes.Create(1), TLanes.Exp(TLanes.Subtract(TLanes.Create(0), gate)));
            return TLanes.Multiply(TLanes.Divide(gate, denominator), up);
        }
    }
}
