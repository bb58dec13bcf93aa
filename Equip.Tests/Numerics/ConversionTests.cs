using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Numerics;

internal sealed unsafe class ConversionTests
{
    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void Widen_EveryHalf_ExactBits(Isa isa)
    {
        _ = Contexts.For(isa);
        ushort[] halves = [.. Enumerable.Range(0, 65536).Select(i => (ushort)i)];
        float[] wide = new float[halves.Length];
        fixed (ushort* source = halves) Conversion.Widen(isa, source, DataType.F16, wide);
        for (int i = 0; i < halves.Length; i++)
        {
            float expected = (float)BitConverter.UInt16BitsToHalf(halves[i]);
            uint bits = BitConverter.SingleToUInt32Bits(expected) | (float.IsNaN(expected) ? 0x400000u : 0);
            if (BitConverter.SingleToUInt32Bits(wide[i]) != bits) Assert.Fail($"0x{i:x4}: got {wide[i]:R}, expected {expected:R}");
        }
    }

    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void Widen_EveryBF16_ExactBits(Isa isa)
    {
        _ = Contexts.For(isa);
        ushort[] brains = [.. Enumerable.Range(0, 65536).Select(i => (ushort)i)];
        float[] wide = new float[brains.Length];
        fixed (ushort* source = brains) Conversion.Widen(isa, source, DataType.BF16, wide);
        for (int i = 0; i < brains.Length; i++)
            if (BitConverter.SingleToUInt32Bits(wide[i]) != (uint)i << 16) Assert.Fail($"0x{i:x4}: got {wide[i]:R}");
    }

    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void Narrow_EveryHalfAndBoundary_NearestEven(Isa isa)
    {
        // Each half, the point midway to the next, and the float32 beside each; both signs. Then patterns of every binade.
        List<float> values = [];
        for (int i = 0; i < 0x7c00; i++)
        {
            float value = (float)BitConverter.UInt16BitsToHalf((ushort)i);
            float next = i == 0x7bff ? 65536 : (float)BitConverter.UInt16BitsToHalf((ushort)(i + 1));
            AddNeighbours(values, value);
            AddNeighbours(values, value + ((next - value) / 2));
        }

        AddPatterns(values);
        ushort[] narrow = Narrow(isa, values, DataType.F16);
        for (int i = 0; i < values.Count; i++)
        {
            ushort expected = BitConverter.HalfToUInt16Bits((Half)values[i]);
            bool same = float.IsNaN(values[i]) ? (narrow[i] & 0x7e00) == 0x7e00 && (narrow[i] ^ expected) >> 15 == 0 : narrow[i] == expected;
            if (!same) Assert.Fail($"{values[i]:R}: got 0x{narrow[i]:x4}, expected 0x{expected:x4}");
        }
    }

    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void Narrow_EveryBF16AndBoundary_NearestEven(Isa isa)
    {
        List<float> values = [];
        for (uint i = 0; i < 0x7f80; i++)
        {
            AddNeighbours(values, BitConverter.UInt32BitsToSingle(i << 16));
            AddNeighbours(values, BitConverter.UInt32BitsToSingle((i << 16) + 0x8000));
        }

        AddPatterns(values);
        ushort[] narrow = Narrow(isa, values, DataType.BF16);
        for (int i = 0; i < values.Count; i++)
        {
            uint bits = BitConverter.SingleToUInt32Bits(values[i]);
            int expected = float.IsNaN(values[i]) ? (int)(bits >> 16) | 0x40 : float.IsInfinity(values[i]) ? (int)(bits >> 16) : ReferenceNumerics.NearestBF16(values[i]);
            if (narrow[i] != expected) Assert.Fail($"0x{bits:x8}: got 0x{narrow[i]:x4}, expected 0x{expected:x4}");
        }
    }

    [Test]
    public void BothWays_EveryLength_TouchOnlyTheirElements(
        [Values(Isa.Scalar, Isa.Avx2, Isa.Avx512)] Isa isa, [Values(DataType.F32, DataType.F16, DataType.BF16)] DataType type)
    {
        _ = Contexts.For(isa);
        foreach (int length in TestData.Lengths)
        {
            using GuardedBuffer wide = new(length * 4), stored = new(length * type.Size()), back = new(length * 4);
            TestData.Random(length, length + 1).CopyTo(wide.AsSpan<float>());
            Conversion.Narrow(isa, wide.AsSpan<float>(), stored.Pointer, type);
            Conversion.Widen(isa, stored.Pointer, type, back.AsSpan<float>());
            double[] expected = [.. wide.AsSpan<float>().ToArray().Select(x => (double)x)];
            double relative = type switch { DataType.F32 => 0, DataType.F16 => 0.5 / 1024, _ => 0.5 / 128 };
            TestData.AssertClose(back.AsSpan<float>(), expected, type == DataType.F16 ? 3e-8 : 0, relative, $"{length}");
            wide.AssertCanary();
            stored.AssertCanary();
            back.AssertCanary();
        }
    }

    [Test]
    public void BothWays_BadArguments_Refused()
    {
        float[] x = new float[4];
        fixed (float* p = x)
        {
            nint address = (nint)p;
            Assert.That(() => Conversion.Widen(Isa.Scalar, null, DataType.F16, x), Throws.ArgumentNullException);
            Assert.That(() => Conversion.Narrow(Isa.Scalar, x, null, DataType.F16), Throws.ArgumentNullException);
            Assert.That(() => Conversion.Widen(Isa.Scalar, (void*)address, DataType.Q8, x), Throws.InstanceOf<ArgumentException>().With.Message.Contains("Q8"));
            Assert.That(() => Conversion.Narrow(Isa.Scalar, x, (void*)address, DataType.Q8), Throws.InstanceOf<ArgumentException>().With.Message.Contains("Q8"));
            Assert.That(() => Conversion.Narrow(Isa.Scalar, x, (byte*)address + 14, DataType.BF16), Throws.ArgumentException.With.Message.Contains("overlaps"));
            Assert.That(() => Conversion.Widen((Isa)9, (void*)address, DataType.F16, x), Throws.InstanceOf<PlatformNotSupportedException>());
        }

        Assert.DoesNotThrow(() => Conversion.Widen(Isa.Scalar, null, DataType.F16, []));
    }

    private static ushort[] Narrow(Isa isa, List<float> values, DataType type)
    {
        _ = Contexts.For(isa);
        ushort[] narrow = new ushort[values.Count];
        fixed (ushort* destination = narrow) Conversion.Narrow(isa, values.ToArray(), destination, type);
        return narrow;
    }

    private static void AddNeighbours(List<float> values, float value)
    {
        foreach (float x in (float[])[MathF.BitDecrement(value), value, MathF.BitIncrement(value)])
        {
            values.Add(x);
            values.Add(-x);
        }
    }

    private static void AddPatterns(List<float> values)
    {
        for (ulong bits = 0; bits <= uint.MaxValue; bits += 8191) values.Add(BitConverter.UInt32BitsToSingle((uint)bits));
        values.AddRange([float.NaN, -float.NaN, float.PositiveInfinity, float.NegativeInfinity, float.MaxValue, float.MinValue, float.Epsilon, -float.Epsilon]);
        values.AddRange(((uint[])[0x7f800001, 0xff800001, 0x7fffffff, 0xffffffff, 0x7fa00000]).Select(BitConverter.UInt32BitsToSingle));
    }
}
