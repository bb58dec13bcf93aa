using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Kernels.Memory;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Linear;

internal sealed unsafe class LinearLayerTests
{
    private const int MaxBatch = 16;

    public static IEnumerable<Isa> Paths => Contexts.Paths;

    public static IEnumerable<DataType> Types => Enum.GetValues<DataType>();

    [Test]
    public void Multiply_EveryLengthAndBatch_MatchesOracle([ValueSource(nameof(Paths))] Isa isa, [ValueSource(nameof(Types))] DataType type)
    {
        KernelContext context = Contexts.For(isa);
        const int rows = 5;
        for (int columns = 1; columns <= 257; columns++)
        {
            if (type == DataType.Q8 && columns % 32 != 0) continue;
            using StoredMatrix matrix = new(type, rows, columns, columns);
            using GuardedBuffer input = new(MaxBatch * columns * sizeof(float)), output = new(MaxBatch * rows * sizeof(float));
            TestData.Random(MaxBatch * columns, columns + 1).CopyTo(input.AsSpan<float>());
            Expected expected = new(type, matrix, input.AsSpan<float>(), MaxBatch);
            for (int batch = 1; batch <= MaxBatch; batch++)
            {
                // The last `batch` inputs and outputs, so that both end at the guard page.
                output.AsSpan<float>().Fill(7);
                LinearLayer.Multiply(context, matrix.Weights, input.AsSpan<float>()[^(batch * columns)..], output.AsSpan<float>()[^(batch * rows)..], batch);
                expected.Assert(output.AsSpan<float>()[^(batch * rows)..], MaxBatch - batch, $"columns {columns}, batch {batch}");
                Assert.That(output.AsSpan<float>()[..^(batch * rows)].IndexOfAnyExcept(7f), Is.EqualTo(-1), "wrote before the output");
            }

            input.AssertCanary();
            output.AssertCanary();
        }
    }

    [Test]
    public void Multiply_ManyChunksAndBlocks_MatchesOracle([ValueSource(nameof(Paths))] Isa isa, [ValueSource(nameof(Types))] DataType type, [Values(1, 2, 7, 16)] int batch)
    {
        foreach ((int rows, int columns) in new[] { (38, 5000), (1031, 96), (3, 14336), (130, 1056) })
        {
            int used = type == DataType.Q8 ? columns / 32 * 32 : columns;
            using StoredMatrix matrix = new(type, rows, used);
            using GuardedBuffer input = new(batch * used * sizeof(float)), output = new(batch * rows * sizeof(float)), bias = new(rows * sizeof(float));
            TestData.Random(batch * used, 3).CopyTo(input.AsSpan<float>());
            TestData.Random(rows, 4).CopyTo(bias.AsSpan<float>());
            TestData.Random(batch * rows, 5).CopyTo(output.AsSpan<float>());
            Expected expected = new(type, matrix, input.AsSpan<float>(), batch);
            for (int i = 0; i < batch * rows; i++)
            {
                expected.Add(i, bias.AsSpan<float>()[i % rows]);
                expected.Add(i, output.AsSpan<float>()[i]);
            }

            LinearLayer.Multiply(Contexts.For(isa), matrix.Weights, input.AsSpan<float>(), output.AsSpan<float>(), batch, bias.AsSpan<float>(), accumulate: true);
            expected.Assert(output.AsSpan<float>(), 0, $"[{rows}, {used}]");
        }
    }

    [Test]
    public void Multiply_Bias_IsAdded([ValueSource(nameof(Paths))] Isa isa, [Values(1, 3)] int batch)
    {
        const int rows = 9, columns = 70;
        using StoredMatrix matrix = new(DataType.F32, rows, columns);
        float[] input = TestData.Random(batch * columns, 3), bias = TestData.Random(rows, 4), output = new float[batch * rows];
        Expected expected = new(DataType.F32, matrix, input, batch);
        for (int i = 0; i < output.Length; i++) expected.Add(i, bias[i % rows]);
        LinearLayer.Multiply(Contexts.For(isa), matrix.Weights, input, output, batch, bias);
        expected.Assert(output, 0, "");
    }

    [Test]
    public void Multiply_AnyAlignmentAndThreads_SameBits([ValueSource(nameof(Paths))] Isa isa, [ValueSource(nameof(Types))] DataType type, [Values(1, 6)] int batch)
    {
        const int rows = 150, columns = 544;
        using StoredMatrix matrix = new(type, rows, columns);
        float[] input = TestData.Random(batch * columns, 3), first = new float[batch * rows];
        LinearLayer.Multiply(Contexts.For(isa), matrix.Weights, input, first, batch);
        int bytes = rows * columns * type.Size();
        using NativeBuffer weights = new(bytes + 64), inputs = new((input.Length + 16) * sizeof(float)), outputs = new((first.Length + 16) * sizeof(float));
        for (int shift = 0; shift < 16; shift++)
        {
            byte* data = (byte*)weights.Pointer + (shift * type.Size());
            Buffer.MemoryCopy(matrix.Weights.Data, data, bytes, bytes);
            Span<float> x = inputs.AsSpan<float>().Slice(shift, input.Length), y = outputs.AsSpan<float>().Slice(15 - shift, first.Length);
            input.CopyTo(x);
            LinearLayer.Multiply(Contexts.For(isa, 1 + (shift % 3)), new WeightMatrix(data, type, rows, columns, matrix.Weights.Scales), x, y, batch);
            Assert.That(y.SequenceEqual(first), Is.True, $"shift {shift}");
        }
    }

    [Test]
    public void Multiply_EveryHalf_IsExact([ValueSource(nameof(Paths))] Isa isa, [Values(1, 2)] int batch)
    {
        // One binary16 a row, at a place that moves through the registers; the other weights and the inputs are 0 and 1.
        const int columns = 34;
        using NativeBuffer weights = new(65536 * columns * 2, zeroed: true);
        for (int bits = 0; bits < 65536; bits++) ((ushort*)weights.Pointer)[((long)bits * columns) + (bits % columns)] = (ushort)bits;
        float[] input = new float[batch * columns], output = new float[batch * 65536];
        input.AsSpan().Fill(1);
        LinearLayer.Multiply(Contexts.For(isa), new WeightMatrix(weights.Pointer, DataType.F16, 65536, columns), input, output, batch);
        for (int i = 0; i < output.Length; i++)
        {
            float expected = (float)BitConverter.UInt16BitsToHalf((ushort)i);
            if (!output[i].Equals(expected)) Assert.Fail($"half {i % 65536:X4}: got {output[i]}, expected {expected}");
        }
    }

    [Test]
    public void Multiply_InfiniteAndNaNWeights_ReachOnlyTheirRows([ValueSource(nameof(Paths))] Isa isa, [Values(DataType.F32, DataType.F16, DataType.BF16)] DataType type, [Values(1, 5)] int batch)
    {
        const int rows = 12, columns = 300;
        float[] values = TestData.Random(rows * columns, 3);
        values[(2 * columns) + 17] = float.PositiveInfinity;
        values[(5 * columns) + 299] = float.NaN;
        values[(7 * columns) + 64] = float.NegativeInfinity;
        using StoredMatrix matrix = new(type, rows, columns, values);
        float[] input = TestData.Random(batch * columns, 4), output = new float[batch * rows];
        Expected expected = new(type, matrix, input, batch);
        LinearLayer.Multiply(Contexts.For(isa), matrix.Weights, input, output, batch);
        expected.Assert(output, 0, "");
    }

    [Test]
    public void Multiply_Q8InputNotFinite_GivesNaN([ValueSource(nameof(Paths))] Isa isa, [Values(float.NaN, float.PositiveInfinity, float.NegativeInfinity)] float bad)
    {
        using StoredMatrix matrix = new(DataType.Q8, 7, 96);
        float[] input = TestData.Random(2 * 96, 4), output = new float[14];
        input[96 + 40] = bad;
        LinearLayer.Multiply(Contexts.For(isa), matrix.Weights, input, output, 2);
        Assert.That(output[..7], Has.None.NaN);
        Assert.That(output[7..], Is.All.NaN);
    }

    [Test]
    public void Multiply_Q8InputZeroOrTiny_GivesZero([ValueSource(nameof(Paths))] Isa isa, [Values(0f, 1e-38f, 1e-44f)] float tiny)
    {
        using StoredMatrix matrix = new(DataType.Q8, 7, 96);
        float[] input = new float[96], output = new float[7];
        input.AsSpan().Fill(tiny);
        LinearLayer.Multiply(Contexts.For(isa), matrix.Weights, input, output, 1);
        Assert.That(output, Is.All.EqualTo(0).Within(1e-30));
    }

    [Test]
    public void Multiply_Warm_AllocatesNothing([ValueSource(nameof(Paths))] Isa isa, [ValueSource(nameof(Types))] DataType type)
    {
        using StoredMatrix matrix = new(type, 300, 320);
        float[] input = TestData.Random(4 * 320, 3), output = new float[4 * 300];
        KernelContext context = Contexts.For(isa);
        Allocations.AssertNone(() =>
        {
            for (int batch = 1; batch <= 4; batch++) LinearLayer.Multiply(context, matrix.Weights, input, output, batch);
        });
    }

    [Test]
    public void Multiply_WrongArguments_NameThem()
    {
        KernelContext context = Contexts.For(Isa.Scalar);
        using StoredMatrix matrix = new(DataType.F32, 4, 8);
        WeightMatrix weights = matrix.Weights;
        float[] x = new float[16], y = new float[8];
        Assert.Multiple(() =>
        {
            Assert.That(() => LinearLayer.Multiply(null!, weights, x, y, 1), Throws.ArgumentNullException);
            Assert.That(() => LinearLayer.Multiply(context, default, x, y, 1), Throws.ArgumentNullException);
            Assert.That(() => LinearLayer.Multiply(context, weights, x, y, 0), Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.Contains("batch: got 0"));
            Assert.That(() => LinearLayer.Multiply(context, weights, x, y, 3), Throws.ArgumentException.With.Message.Contains("expected at least 24"));
            Assert.That(() => LinearLayer.Multiply(context, weights, x, y.AsSpan(1), 2), Throws.ArgumentException.With.Message.Contains("expected at least 8"));
            Assert.That(() => LinearLayer.Multiply(context, weights, x, y, 1, new float[3]), Throws.ArgumentException.With.Message.Contains("bias"));
            Assert.That(() => LinearLayer.Multiply(context, weights, x.AsSpan(0, 8), x.AsSpan(4), 1), Throws.ArgumentException.With.Message.Contains("overlaps"));
            Assert.That(() => LinearLayer.Multiply(context, weights, x, y, 1, y.AsSpan(4)), Throws.ArgumentException.With.Message.Contains("overlaps"));
            Assert.That(() => LinearLayer.Multiply(context, weights, x, y, int.MaxValue), Throws.ArgumentException);
        });
    }

    /// <summary>What a product should be, and how far rounding may take it.</summary>
    private sealed class Expected
    {
        private readonly double[] _products;
        private readonly double[] _magnitudes;
        private readonly int _rows;

        public Expected(DataType type, StoredMatrix matrix, ReadOnlySpan<float> inputs, int batch)
        {
            _rows = matrix.Weights.Rows;
            float[] seen = type == DataType.Q8 ? ReferenceLinear.RoundInputs(inputs) : inputs.ToArray();
            (_products, _magnitudes) = ReferenceLinear.Multiply(matrix.Values, _rows, matrix.Weights.Columns, seen, batch);
        }

        public void Add(int index, float value)
        {
            _products[index] += value;
            _magnitudes[index] += Math.Abs(value);
        }

        public void Assert(ReadOnlySpan<float> actual, int firstInput, string what)
        {
            for (int i = 0; i < actual.Length; i++)
            {
                double expected = _products[(firstInput * _rows) + i], allowed = 1e-6 + (2e-6 * _magnitudes[(firstInput * _rows) + i]);
                bool same = actual[i].Equals((float)expected) || Math.Abs(actual[i] - expected) <= allowed;
                if (!same) NUnit.Framework.Assert.Fail($"{what} [{i / _rows}, {i % _rows}]: got {actual[i]:R}, expected {expected:R}");
            }
        }
    }
}
