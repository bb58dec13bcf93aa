using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Rope;

internal sealed unsafe class RopeRotationTests
{
    [Test]
    public void Rotate_EveryPairCount_MatchesDouble(
        [Values(Isa.Scalar, Isa.Avx2, Isa.Avx512)] Isa isa, [Values] RopeLayout layout, [Values(0, 3)] int unrotated)
    {
        KernelContext context = Contexts.For(isa);
        for (int pairs = 1; pairs <= 129; pairs++)
        {
            const int Tokens = 2, Heads = 3;
            int headDim = (2 * pairs) + unrotated, length = Tokens * Heads * headDim;
            RopeTable table = new(new RopeOptions { HeadDim = headDim, RotaryDim = 2 * pairs, Layout = layout });
            using GuardedBuffer input = new(length * 4), output = new(length * 4), cos = new(Tokens * pairs * 4), sin = new(Tokens * pairs * 4);
            TestData.Random(length, pairs).CopyTo(input.AsSpan<float>());
            for (int row = 0; row < Tokens * Heads; row++) input.AsSpan<float>().Slice((row * headDim) + (2 * pairs), unrotated).Fill(float.NaN);
            table.Fill([1000 + pairs, pairs], cos.AsSpan<float>(), sin.AsSpan<float>());
            RopeRotation.Rotate(context, table, input.AsSpan<float>(), output.AsSpan<float>(), cos.AsSpan<float>(), sin.AsSpan<float>(), Tokens, Heads);
            for (int row = 0; row < Tokens * Heads; row++)
            {
                int token = row / Heads;
                double[] expected = ReferenceRope.Rotate(
                    input.AsSpan<float>().Slice(row * headDim, headDim), cos.AsSpan<float>().Slice(token * pairs, pairs), sin.AsSpan<float>().Slice(token * pairs, pairs), layout);
                TestData.AssertClose(output.AsSpan<float>().Slice(row * headDim, headDim), expected, 5e-6, 1e-6, $"{pairs} pairs, row {row}");
            }

            RopeRotation.Rotate(context, table, input.AsSpan<float>(), input.AsSpan<float>(), cos.AsSpan<float>(), sin.AsSpan<float>(), Tokens, Heads);
            Assert.That(input.AsSpan<byte>().SequenceEqual(output.AsSpan<byte>()), "in place differs");
            input.AssertCanary();
            output.AssertCanary();
        }
    }

    [Test]
    public void RotateStored_EveryType_RoundsOnce(
        [Values(Isa.Scalar, Isa.Avx2, Isa.Avx512)] Isa isa, [Values] RopeLayout layout, [Values(DataType.F32, DataType.F16, DataType.BF16)] DataType type)
    {
        KernelContext context = Contexts.For(isa);
        foreach ((int headDim, int rotaryDim) in ((int, int)[])[(64, 64), (128, 128), (80, 80), (96, 50), (30, 30), (17, 6), (256, 256)])
        {
            const int Count = 5;
            int length = Count * headDim, pairs = rotaryDim / 2;
            RopeTable table = new(new RopeOptions { HeadDim = headDim, RotaryDim = rotaryDim, Layout = layout });
            using GuardedBuffer shared = Stored(length, headDim, type), source = Stored(length, headDim, type), rows = new(length * type.Size());
            float[] wide = Widened(source, type), cos = new float[Count * pairs], sin = new float[Count * pairs];
            table.Fill([-3, 700, 12, 0, 99], cos, sin);
            RopeRotation.RotateStoredRows(context, table, source.Pointer, rows.Pointer, type, Count, cos, sin);
            RopeRotation.RotateStored(context, table, shared.Pointer, type, Count, cos.AsSpan(pairs, pairs), sin.AsSpan(pairs, pairs));
            float[] byRow = Widened(rows, type), byShared = Widened(shared, type);
            double half = type switch { DataType.F32 => 1e-6, DataType.F16 => 0.5001 / 1024, _ => 0.5001 / 128 };
            for (int row = 0; row < Count; row++)
            {
                Span<float> original = wide.AsSpan(row * headDim, headDim);
                TestData.AssertClose(byRow.AsSpan(row * headDim, headDim), ReferenceRope.Rotate(original, cos.AsSpan(row * pairs, pairs), sin.AsSpan(row * pairs, pairs), layout), 5e-6, half, $"{headDim}, row {row}");
                TestData.AssertClose(byShared.AsSpan(row * headDim, headDim), ReferenceRope.Rotate(original, cos.AsSpan(pairs, pairs), sin.AsSpan(pairs, pairs), layout), 5e-6, half, $"{headDim}, shared, row {row}");
            }

            RopeRotation.RotateStoredRows(context, table, source.Pointer, source.Pointer, type, Count, cos, sin);
            Assert.That(source.AsSpan<byte>().SequenceEqual(rows.AsSpan<byte>()), "in place differs");
            source.AssertCanary();
            rows.AssertCanary();
            shared.AssertCanary();
        }
    }

    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void Rotate_ManyTilesThreadsAndAlignments_SameBitsAndRight(Isa isa)
    {
        // 41 pairs: every path ends a row with narrower vectors, tile by tile.
        const int Tokens = 130, Heads = 4, HeadDim = 90, Pairs = 41;
        RopeTable table = new(new RopeOptions { HeadDim = HeadDim, RotaryDim = 2 * Pairs });
        float[] input = TestData.Random(Tokens * Heads * HeadDim), cos = new float[Tokens * Pairs], sin = new float[Tokens * Pairs];
        table.Fill([.. Enumerable.Range(0, Tokens)], cos, sin);
        float[] one = new float[input.Length], three = new float[input.Length + 1];
        RopeRotation.Rotate(Contexts.For(isa, 1), table, input, one, cos, sin, Tokens, Heads);
        RopeRotation.Rotate(Contexts.For(isa, 3), table, input, three.AsSpan(1), cos, sin, Tokens, Heads);
        Assert.That(three.AsSpan(1).SequenceEqual(one));
        for (int row = 0; row < Tokens * Heads; row++)
        {
            Span<float> c = cos.AsSpan(row / Heads * Pairs, Pairs), s = sin.AsSpan(row / Heads * Pairs, Pairs);
            TestData.AssertClose(one.AsSpan(row * HeadDim, HeadDim), ReferenceRope.Rotate(input.AsSpan(row * HeadDim, HeadDim), c, s, RopeLayout.HalfSplit), 5e-6, 1e-6, $"row {row}");
        }

        fixed (float* rows = input) RopeRotation.RotateStored(Contexts.For(isa, 3), table, rows, DataType.F32, Tokens * Heads, cos.AsSpan(0, Pairs), sin.AsSpan(0, Pairs));
        Assert.That(input, Is.EqualTo(TestData.Random(input.Length)), "position 0 is the identity");
        fixed (float* rows = input) RopeRotation.RotateStored(Contexts.For(isa, 3), table, rows, DataType.F32, Heads, cos.AsSpan(7 * Pairs, Pairs), sin.AsSpan(7 * Pairs, Pairs));
        RopeRotation.Rotate(Contexts.For(isa, 1), table, TestData.Random(input.Length), one, cos.AsSpan(7 * Pairs), sin.AsSpan(7 * Pairs), 1, Heads);
        Assert.That(input.AsSpan(0, Heads * HeadDim).SequenceEqual(one.AsSpan(0, Heads * HeadDim)), "shared angles differ from per-token ones");
    }

    [Test]
    public void Rotate_NullArgumentsAndLengths_Refused()
    {
        KernelContext context = Contexts.For(Isa.Scalar);
        RopeTable table = new(new RopeOptions { HeadDim = 8 });
        float[] x = new float[32], angles = new float[8];
        Assert.That(() => RopeRotation.Rotate(null!, table, x, x, angles, angles, 2, 2), Throws.ArgumentNullException);
        Assert.That(() => RopeRotation.Rotate(context, null!, x, x, angles, angles, 2, 2), Throws.ArgumentNullException);
        Assert.That(() => RopeRotation.Rotate(context, table, x, x, angles, angles, 3, 1), Throws.ArgumentException.With.Message.Contains("at least 12"));
        Assert.That(() => RopeRotation.Rotate(context, table, x, x, angles, angles, 2, 3), Throws.ArgumentException.With.Message.Contains("6 rows of 8"));
        Assert.That(() => RopeRotation.Rotate(context, table, x, x, angles, angles, 2, int.MaxValue), Throws.ArgumentException);
        Assert.That(() => RopeRotation.Rotate(context, table, x, x.AsSpan(1), angles, angles, 2, 2), Throws.ArgumentException.With.Message.Contains("output").Or.Message.Contains("at least 32"));
        Assert.That(() => RopeRotation.Rotate(context, table, x.AsSpan(0, 16), x.AsSpan(8, 16), angles, angles, 2, 1), Throws.ArgumentException.With.Message.Contains("overlaps"));
        Assert.That(() => RopeRotation.Rotate(context, table, x, x, x.AsSpan(4), angles, 2, 2), Throws.ArgumentException.With.Message.Contains("overlaps cos or sin"));
    }

    [Test]
    public void RotateStored_NullPointersAndTypes_Refused()
    {
        KernelContext context = Contexts.For(Isa.Scalar);
        RopeTable table = new(new RopeOptions { HeadDim = 8 });
        float[] x = new float[32], angles = new float[8];
        fixed (float* p = x)
        {
            nint rows = (nint)p;
            Assert.That(() => RopeRotation.RotateStored(context, table, null, DataType.F16, 1, angles, angles), Throws.ArgumentNullException);
            Assert.That(() => RopeRotation.RotateStored(context, table, (void*)rows, DataType.Q8, 1, angles, angles), Throws.InstanceOf<ArgumentException>().With.Message.Contains("Q8"));
            Assert.That(() => RopeRotation.RotateStored(context, table, (void*)rows, DataType.F16, -1, angles, angles), Throws.InstanceOf<ArgumentException>().With.Message.Contains("count"));
            Assert.That(() => RopeRotation.RotateStored(context, table, (void*)rows, DataType.F16, 1, angles.AsSpan(5), angles), Throws.ArgumentException.With.Message.Contains("at least 4"));
            Assert.That(() => RopeRotation.RotateStoredRows(context, table, (void*)rows, (byte*)rows + 16, DataType.F16, 2, angles, angles), Throws.ArgumentException.With.Message.Contains("overlaps"));
            Assert.That(() => RopeRotation.RotateStoredRows(context, table, (void*)rows, (void*)rows, DataType.F16, 3, angles, angles), Throws.ArgumentException.With.Message.Contains("at least 12"));
            Assert.That(() => RopeRotation.RotateStored(context, table, (void*)rows, DataType.F32, 4, x, angles), Throws.ArgumentException.With.Message.Contains("cos: overlaps"));
        }

        Assert.DoesNotThrow(() => RopeRotation.RotateStored(context, table, null, DataType.F16, 0, angles, angles));
    }

    private static GuardedBuffer Stored(int length, int seed, DataType type)
    {
        GuardedBuffer buffer = new(length * type.Size());
        Conversion.Narrow(Isa.Scalar, TestData.Random(length, seed), buffer.Pointer, type);
        return buffer;
    }

    private static float[] Widened(GuardedBuffer buffer, DataType type)
    {
        float[] wide = new float[buffer.Length / type.Size()];
        Conversion.Widen(Isa.Scalar, buffer.Pointer, type, wide);
        return wide;
    }
}
