using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.Linear;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Eviction;

internal sealed unsafe class OutputProjectionTests
{
    private const int Hidden = 80, Heads = 4, KvHeads = 2, HeadDim = 32;

    private static readonly float[] _weights = TestData.Random(Hidden * Heads * HeadDim, scale: 0.1f);

    private static readonly float[] _value = TestData.Random(HeadDim, seed: 7);

    [Test]
    public void Gram_Forms_EqualExplicitNorms([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa)
    {
        fixed (float* data = _weights)
        {
            OutputProjection output = new(Contexts.For(isa), [new WeightMatrix(data, DataType.F32, Hidden, Heads * HeadDim)], Heads, KvHeads);
            double[][] outputs = [.. Enumerable.Range(0, Heads).Select(Product)];
            for (int head = 0; head < Heads; head++) AssertForm(output.Gram(0, head, head), Inner(outputs[head], outputs[head]));
            for (int kvHead = 0; kvHead < KvHeads; kvHead++)
            {
                double[] first = outputs[2 * kvHead], second = outputs[(2 * kvHead) + 1];
                AssertForm(output.Gram(0, 2 * kvHead, (2 * kvHead) + 1), Inner(first, second), Math.Sqrt(Inner(first, first) * Inner(second, second)));
                AssertForm(output.JointGram(0, kvHead), Inner(first, first) + Inner(second, second));
                double[] sum = [.. first.Zip(second, (a, b) => a + b)];
                AssertForm(output.SummedGram(0, kvHead), Inner(sum, sum));
            }

            Assert.That(output.Bytes, Is.EqualTo((Heads + (3 * KvHeads)) * HeadDim * HeadDim * sizeof(float)));
        }
    }

    [TestCase(DataType.F16)]
    [TestCase(DataType.BF16)]
    [TestCase(DataType.Q8)]
    public void HeadPart_StoredTypes_AreWidened(DataType type)
    {
        sbyte[] integers = [.. Enumerable.Range(0, Hidden * Heads * HeadDim).Select(i => (sbyte)(i * 31))];
        ushort[] scales = [.. Enumerable.Range(0, integers.Length / 32).Select(i => BitConverter.HalfToUInt16Bits((Half)((i % 13) + 1)))];
        ushort[] narrow = new ushort[_weights.Length];
        fixed (void* q = integers, s = scales, n = narrow)
        {
            if (type != DataType.Q8) Conversion.Narrow(Isa.Auto, _weights, n, type);
            OutputProjection output = new(Contexts.For(Isa.Scalar), [new WeightMatrix(type == DataType.Q8 ? q : n, type, Hidden, Heads * HeadDim, type == DataType.Q8 ? s : null)], Heads, KvHeads);
            float[] part = output.HeadPart(0, 2);
            for (int i = 0; i < part.Length; i++)
            {
                int element = (i / HeadDim * Heads * HeadDim) + (2 * HeadDim) + (i % HeadDim);
                float expected = type == DataType.Q8 ? integers[element] * (float)(Half)(((element / 32) % 13) + 1) : _weights[element];
                Assert.That(part[i], Is.EqualTo(expected).Within(type == DataType.Q8 ? 0 : Math.Abs(expected) * 0.004f + 1e-6f));
            }
        }
    }

    private static double[] Product(int head)
    {
        double[] product = new double[Hidden];
        for (int row = 0; row < Hidden; row++)
            for (int i = 0; i < HeadDim; i++) product[row] += (double)_weights[(row * Heads * HeadDim) + (head * HeadDim) + i] * _value[i];
        return product;
    }

    private static double Inner(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();

    private static void AssertForm(ReadOnlySpan<float> gram, double expected, double scale = 0)
    {
        double form = 0;
        for (int i = 0; i < HeadDim; i++)
            for (int j = 0; j < HeadDim; j++) form += (double)gram[(i * HeadDim) + j] * _value[i] * _value[j];
        Assert.That(form, Is.EqualTo(expected).Within(1e-5 * Math.Max(scale, Math.Abs(expected))));
    }
}
