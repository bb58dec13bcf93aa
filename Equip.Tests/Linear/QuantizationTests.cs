using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Linear;

internal sealed unsafe class QuantizationTests
{
    public static IEnumerable<Isa> Paths => Contexts.Paths;

    [Test]
    public void QuantizeQ8_Random_WithinHalfAStep([ValueSource(nameof(Paths))] Isa isa, [Values(DataType.F32, DataType.F16, DataType.BF16)] DataType type)
    {
        const int rows = 131, columns = 544;
        using StoredMatrix source = new(type, rows, columns);
        using Quantized quantized = new(isa, source.Weights);
        float[] row = new float[columns];
        for (int r = 0; r < rows; r++)
        {
            Quantization.DequantizeRow(quantized.Matrix, r, row);
            for (int c = 0; c < columns; c++)
            {
                double value = source.Values[(r * columns) + c], largest = 0;
                for (int i = c / 32 * 32; i < (c / 32 * 32) + 32; i++) largest = Math.Max(largest, Math.Abs(source.Values[(r * columns) + i]));
                Assert.That(row[c], Is.EqualTo(value).Within(largest / 127 * (0.5 + (127.0 / 2048)) * 1.001), $"[{r}, {c}]");
            }
        }
    }

    [Test]
    public void QuantizeQ8_KnownBlocks_GiveKnownBytes([ValueSource(nameof(Paths))] Isa isa)
    {
        float[] values = new float[6 * 32];
        for (int i = 0; i < 32; i++)
        {
            values[i] = i - 20.5f;
            values[64 + i] = (i - 16) * 1e-7f;
            values[96 + i] = i == 5 ? float.NaN : 1;
            values[128 + i] = i == 31 ? 1e30f : 1;
            values[160 + i] = i == 0 ? -127 : i % 2 == 0 ? 2.5f : -1.5f;
        }

        using StoredMatrix source = new(DataType.F32, 1, values.Length, values);
        using Quantized quantized = new(isa, source.Weights);
        Span<sbyte> bytes = quantized.Bytes;
        Span<Half> scales = quantized.Scales;
        float[] row = new float[values.Length];
        Quantization.DequantizeRow(quantized.Matrix, 0, row);
        Assert.Multiple(() =>
        {
            Assert.That((float)quantized.Scales[0], Is.EqualTo(20.5f / 127).Within(1e-4));
            Assert.That(quantized.Bytes[0], Is.EqualTo(-127));
            Assert.That(quantized.Bytes[31], Is.EqualTo(65));
            Assert.That(row[32..64], Is.All.Zero);
            Assert.That(row[64], Is.EqualTo(-1.6e-6f).Within(3e-8), "a subnormal scale does not clip");
            Assert.That(row[96..128], Is.All.NaN);
            Assert.That(row[128..160], Is.All.NaN, "a scale that binary16 cannot hold");
            Assert.That(quantized.Bytes[160..163].ToArray(), Is.EqualTo(new sbyte[] { -127, -2, 2 }), "halves go to even");
        });
    }

    [Test]
    public void QuantizeQ8_EveryPath_SameBits([Values(DataType.F32, DataType.F16, DataType.BF16)] DataType type)
    {
        using StoredMatrix source = new(type, 77, 320);
        using Quantized first = new(Isa.Scalar, source.Weights);
        foreach (Isa isa in IsaRegistry.Supported)
        {
            using Quantized other = new(isa, source.Weights);
            Assert.That(other.Bytes.SequenceEqual(first.Bytes) && other.Scales.SequenceEqual(first.Scales), Is.True, IsaRegistry.Name(isa));
        }
    }

    [Test]
    public void Multiply_QuantizedLayer_CloseToFloat([ValueSource(nameof(Paths))] Isa isa)
    {
        // Without outliers: relative to the size of y, 8-bit blocks of normal data cost about 1 %.
        const int rows = 64, columns = 4096;
        Random random = new(5);
        float[] values = [.. Enumerable.Range(0, rows * columns).Select(_ => (float)(random.NextDouble() + random.NextDouble() + random.NextDouble() - 1.5))];
        using StoredMatrix source = new(DataType.F32, rows, columns, values);
        using Quantized quantized = new(isa, source.Weights);
        float[] input = values[..columns], exact = new float[rows], rounded = new float[rows];
        input.AsSpan().Reverse();
        LinearLayer.Multiply(Contexts.For(isa), source.Weights, input, exact, 1);
        LinearLayer.Multiply(Contexts.For(isa), quantized.Matrix, input, rounded, 1);
        double error = 0, size = 0;
        for (int r = 0; r < rows; r++)
        {
            error += Math.Pow(exact[r] - rounded[r], 2);
            size += Math.Pow(exact[r], 2);
        }

        Assert.That(Math.Sqrt(error / size), Is.LessThan(0.012).And.GreaterThan(0.001));
    }

    [Test]
    public void QuantizeQ8_WrongArguments_NameThem()
    {
        KernelContext context = Contexts.For(Isa.Scalar);
        using StoredMatrix floats = new(DataType.F32, 2, 64), bytes = new(DataType.Q8, 2, 64), other = new(DataType.Q8, 3, 64);
        WeightMatrix source = floats.Weights, target = bytes.Weights, wrong = other.Weights;
        Assert.Multiple(() =>
        {
            Assert.That(() => Quantization.QuantizeQ8(null!, source, target), Throws.ArgumentNullException);
            Assert.That(() => Quantization.QuantizeQ8(context, default, target), Throws.ArgumentNullException);
            Assert.That(() => Quantization.QuantizeQ8(context, target, target), Throws.ArgumentException.With.Message.Contains("source: got q8"));
            Assert.That(() => Quantization.QuantizeQ8(context, source, source), Throws.ArgumentException.With.Message.Contains("destination: got f32"));
            Assert.That(() => Quantization.QuantizeQ8(context, source, wrong), Throws.ArgumentException.With.Message.Contains("expected [2, 64]"));
            Assert.That(() => Quantization.DequantizeRow(source, 0, new float[64]), Throws.ArgumentException);
            Assert.That(() => Quantization.DequantizeRow(target, 2, new float[64]), Throws.TypeOf<ArgumentOutOfRangeException>());
            Assert.That(() => Quantization.DequantizeRow(target, 0, new float[63]), Throws.ArgumentException.With.Message.Contains("expected at least 64"));
        });
    }

    /// <summary>A matrix quantised into guarded memory.</summary>
    private sealed class Quantized : IDisposable
    {
        private readonly GuardedBuffer _bytes;
        private readonly GuardedBuffer _scales;

        public Quantized(Isa isa, WeightMatrix source)
        {
            KernelContext context = Contexts.For(isa);
            _bytes = new GuardedBuffer(source.Rows * source.Columns);
            _scales = new GuardedBuffer(source.Rows * source.Columns / 16);
            Matrix = new WeightMatrix(_bytes.Pointer, DataType.Q8, source.Rows, source.Columns, _scales.Pointer);
            Quantization.QuantizeQ8(context, source, Matrix);
            _bytes.AssertCanary();
            _scales.AssertCanary();
        }

        public WeightMatrix Matrix { get; }

        public Span<sbyte> Bytes => _bytes.AsSpan<sbyte>();

        public Span<Half> Scales => _scales.AsSpan<Half>();

        public void Dispose()
        {
            _bytes.Dispose();
            _scales.Dispose();
        }
    }
}
