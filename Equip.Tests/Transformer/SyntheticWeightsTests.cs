using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;
using Equip.Tests.Safetensors;

namespace Equip.Tests.Transformer;

internal sealed unsafe class SyntheticWeightsTests
{
    private const int Count = 300_000;

    [TestCase(DataType.F32)]
    [TestCase(DataType.F16)]
    [TestCase(DataType.BF16)]
    public void Fill_AnyThreadCount_SameBytes(DataType type)
    {
        byte[] one = Fill(type, Count, threads: 1), three = Fill(type, Count, threads: 3);
        Assert.That(one.AsSpan().SequenceEqual(three));
    }

    [TestCase(DataType.F16)]
    [TestCase(DataType.BF16)]
    public void Fill_SixteenBits_IsTheFloatRounded(DataType type)
    {
        // From ordinary weights down to binary16's subnormals, and up to beyond its largest number.
        foreach (float deviation in new[] { 0.02f, 1e-5f, 1e-8f, 30000f })
        {
            float[] floats = SafetensorsWriter.Decode(Fill(DataType.F32, Count, 2, deviation), DataType.F32);
            Assert.That(Fill(type, Count, 2, deviation).AsSpan().SequenceEqual(SafetensorsWriter.Encode(floats, type)), $"deviation {deviation}");
        }
    }

    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void Fill_AnyPath_SameBytes(Isa isa)
    {
        byte[] bytes = new byte[2 * Count];
        fixed (byte* p = bytes) SyntheticWeights.Fill(Contexts.For(isa), p, DataType.F16, Count, 0.02f, 7);
        Assert.That(bytes.AsSpan().SequenceEqual(Fill(DataType.F16, Count, 2)));
    }

    [Test]
    public void Fill_EveryLength_IsAPrefixAndWritesNoMore()
    {
        byte[] longest = Fill(DataType.BF16, 70_000, 2);
        foreach (int count in TestData.Lengths.Concat([65_535, 65_536, 65_537, 65_545]))
        {
            using GuardedBuffer buffer = new(2 * count);
            SyntheticWeights.Fill(Contexts.For(Isa.Scalar), buffer.Pointer, DataType.BF16, count, 0.02f, 7);
            Assert.That(buffer.AsSpan<byte>().SequenceEqual(longest.AsSpan(0, 2 * count)), $"count {count}");
            buffer.AssertCanary();
        }
    }

    [Test]
    public void Fill_Values_AreRoughlyNormalWithOutliers()
    {
        float[] values = SafetensorsWriter.Decode(Fill(DataType.F32, Count, 2), DataType.F32);
        double[] scaled = [.. values.Select(value => value / 0.02)];
        // Four uniforms reach 3.47 deviations: what is beyond is an outlier.
        double[] inliers = [.. scaled.Where(value => Math.Abs(value) < 3.5)];
        Assert.That(inliers.Average(), Is.EqualTo(0).Within(0.01));
        Assert.That(inliers.Average(value => value * value), Is.EqualTo(1).Within(0.01));
        Assert.That(inliers.Average(value => Math.Pow(value, 4)), Is.EqualTo(2.7).Within(0.05), "kurtosis of four uniforms: 3 - 1.2 / 4");
        Assert.That(inliers.Count(value => Math.Abs(value) < 1) / (double)inliers.Length, Is.EqualTo(0.676).Within(0.01));
        Assert.That((scaled.Length - inliers.Length) / (double)scaled.Length, Is.EqualTo(0.66 / 1024).Within(0.15 / 1024));
        Assert.That(scaled.Max(Math.Abs), Is.GreaterThan(15).And.LessThan(28));
        Assert.That(Enumerable.Range(1, Count - 1).Average(i => scaled[i] * scaled[i - 1]), Is.EqualTo(0).Within(0.01), "neighbours");
        Assert.That(Enumerable.Range(65_536, Count - 65_536).Average(i => scaled[i] * scaled[i - 65_536]), Is.EqualTo(0).Within(0.01), "blocks");
    }

    [Test]
    public void Fill_OtherSeed_OtherValues()
    {
        float[] a = SafetensorsWriter.Decode(Fill(DataType.F32, 10_000, 1, seed: 1), DataType.F32), b = SafetensorsWriter.Decode(Fill(DataType.F32, 10_000, 1, seed: 2), DataType.F32);
        Assert.That(a.Zip(b).Count(pair => pair.First == pair.Second), Is.LessThan(10));
        Assert.That(a.Zip(b).Average(pair => pair.First * pair.Second) / (0.02 * 0.02), Is.EqualTo(0).Within(0.05));
    }

    [Test]
    public void Fill_BadArguments_AreRefused()
    {
        KernelContext context = Contexts.For(Isa.Scalar);
        float value = 5;
        float* p = &value;
        Assert.That(() => SyntheticWeights.Fill(context, p, DataType.Q8, 1, 1, 1), Throws.TypeOf<ArgumentException>().With.Message.Contains("expected f32, f16 or bf16"));
        Assert.That(() => SyntheticWeights.Fill(context, p, DataType.F32, -1, 1, 1), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => SyntheticWeights.Fill(context, null, DataType.F32, 1, 1, 1), Throws.TypeOf<ArgumentNullException>());
        Assert.That(() => SyntheticWeights.Fill(context, p, DataType.F32, 1, float.NaN, 1), Throws.TypeOf<ArgumentException>());
        SyntheticWeights.Fill(context, null, DataType.F32, 0, 1, 1);
        Assert.That(value, Is.EqualTo(5));
    }

    private static byte[] Fill(DataType type, int count, int threads, float deviation = 0.02f, ulong seed = 7)
    {
        byte[] bytes = new byte[count * type.Size()];
        fixed (byte* p = bytes) SyntheticWeights.Fill(Contexts.For(Isa.Scalar, threads), p, type, count, deviation, seed);
        return bytes;
    }
}
