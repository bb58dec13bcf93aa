using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Linear;

/// <summary>Every case lies in guarded buffers of odd length, so that it is misaligned and an over-read faults.</summary>
internal sealed unsafe class GemmTests
{
    private static readonly DataType[] _types = [DataType.F32, DataType.F16, DataType.BF16, DataType.Q8];
    private static readonly int[] _rows = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 97];

    [Test]
    public void Multiply_EverySmallShape_MatchesDouble([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [ValueSource(nameof(_types))] DataType type)
    {
        KernelContext context = Contexts.For(isa);
        int shape = 0;
        for (int batch = 1; batch <= 40; batch++)
        {
            for (int columns = 1; columns <= 70; columns++, shape++)
            {
                if (type == DataType.Q8 && columns % WeightMatrix.BlockSize != 0) continue;
                using GemmCase test = new(type, _rows[shape % _rows.Length], columns, batch, shape);
                test.Check(context, bias: shape % 2 == 0, accumulate: shape % 3 == 0);
            }
        }
    }

    // Around the depth of a block, the height of a tile, the batch of a chunk and of a slice, and enough rows for several chunks a thread.
    [Test]
    public void Multiply_AroundBlockEdges_MatchesDouble(
        [ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [ValueSource(nameof(_types))] DataType type, [Values(1, 3)] int threads)
    {
        KernelContext context = Contexts.For(isa, threads);
        (int Batch, int Columns, int Rows)[] shapes =
        [
            (13, 255, 33), (14, 256, 64), (15, 257, 31), (29, 511, 129), (41, 512, 65), (63, 513, 1), (17, 769, 257), (3, 1025, 40),
            (1, 300, 1300), (130, 288, 95), (513, 70, 34), (1030, 33, 70), (2049, 3, 5),
        ];
        foreach ((int batch, int columns, int rows) in shapes)
        {
            int fitting = type == DataType.Q8 ? (columns + 31) / 32 * 32 : columns;
            using GemmCase test = new(type, rows, fitting, batch, columns);
            test.Check(context, bias: true, accumulate: false);
            test.Check(context, bias: false, accumulate: true);
        }
    }

    [Test]
    public void Multiply_EveryHalfwordPattern_IsWidenedExactly(
        [ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [Values(DataType.F16, DataType.BF16)] DataType type, [Values(0, 1)] int place)
    {
        const int Patterns = 65536, Columns = 2;
        KernelContext context = Contexts.For(isa);
        ushort[] weights = new ushort[Patterns * Columns];
        for (int i = 0; i < Patterns; i++) weights[(i * Columns) + place] = (ushort)i;
        float[] input = [1 - place, place], output = new float[Patterns];
        fixed (ushort* w = weights)
        fixed (float* x = input, y = output) Gemm.Multiply(context, new WeightMatrix(w, type, Patterns, Columns), x, y, 1, null, false);
        for (int i = 0; i < Patterns; i++)
        {
            float expected = type == DataType.F16 ? (float)BitConverter.UInt16BitsToHalf((ushort)i) : BitConverter.Int32BitsToSingle(i << 16);
            if (!(output[i] == expected || (float.IsNaN(output[i]) && float.IsNaN(expected)))) Assert.Fail($"{i:X4}: got {output[i]:R}, expected {expected:R}");
        }
    }

    [Test]
    public void Multiply_NotFinite_StaysInItsRowAndInput([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [ValueSource(nameof(_types))] DataType type)
    {
        KernelContext context = Contexts.For(isa);
        const int Batch = 37, Rows = 45, Columns = 288;
        using GemmCase clean = new(type, Rows, Columns, Batch, 1);
        clean.Run(context, bias: false, accumulate: false);
        float[] expected = clean.Output.ToArray();
        clean.Input[(5 * Columns) + 200] = float.NaN;
        clean.Input[(36 * Columns) + 287] = float.PositiveInfinity;
        clean.Run(context, bias: false, accumulate: false);
        for (int input = 0; input < Batch; input++)
        {
            for (int row = 0; row < Rows; row++)
            {
                float got = clean.Output[(input * Rows) + row];
                if (input is 5 or 36) Assert.That(float.IsFinite(got), Is.False);
                else if (got != expected[(input * Rows) + row]) Assert.Fail($"input {input} row {row} changed");
            }
        }

        // The scratch memory now holds NaN; nothing of it may be seen. Nor may what the output held.
        clean.Refill(1);
        clean.Output.Fill(float.NaN);
        clean.Run(context, bias: false, accumulate: false);
        Assert.That(clean.Output.SequenceEqual(expected));
    }

    [Test]
    public void Multiply_AnyAlignmentAndThreadCount_SameBits([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [ValueSource(nameof(_types))] DataType type)
    {
        const int Batch = 67, Rows = 203, Columns = 544;
        using GemmCase test = new(type, Rows, Columns, Batch, 3);
        test.Run(Contexts.For(isa, 1), bias: true, accumulate: false);
        float[] expected = test.Output.ToArray();
        byte[] weights = new byte[test.Weights.Length + 64];
        float[] input = new float[test.Input.Length + 16], output = new float[expected.Length + 16];
        fixed (byte* w = weights)
        {
            fixed (float* x = input, y = output)
            {
                for (int offset = 0; offset < 16; offset++)
                {
                    test.Weights.CopyTo(new Span<byte>(w + (offset * 4), test.Weights.Length));
                    test.Input.CopyTo(new Span<float>(x + 15 - offset, test.Input.Length));
                    WeightMatrix matrix = new(w + (offset * 4), type, Rows, Columns, test.Scales);
                    Gemm.Multiply(Contexts.For(isa, 1 + (offset % 3)), matrix, x + 15 - offset, y + offset, Batch, test.Bias, false);
                    Assert.That(output.AsSpan(offset, expected.Length).SequenceEqual(expected), $"offset {offset}");
                }
            }
        }
    }

    [Test]
    public void Multiply_AfterFirstCall_AllocatesNothing([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa)
    {
        KernelContext context = Contexts.For(isa, 1);
        using GemmCase test = new(DataType.BF16, 70, 300, 40, 5);
        Allocations.AssertNone(() => test.Run(context, bias: true, accumulate: false));
    }
}
