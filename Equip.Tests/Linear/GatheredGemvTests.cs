using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Kernels.Memory;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Linear;

internal sealed unsafe class GatheredGemvTests
{
    public static IEnumerable<Isa> Paths => Contexts.Paths;

    public static IEnumerable<DataType> Types => Enum.GetValues<DataType>();

    public static IEnumerable<DataType> FloatTypes => [DataType.F32, DataType.F16, DataType.BF16];

    [Test]
    public void Rows_AnyList_SameBitsAsWholeProduct([ValueSource(nameof(Paths))] Isa isa, [ValueSource(nameof(Types))] DataType type)
    {
        const int rows = 90, columns = 416;
        KernelContext context = Contexts.For(isa);
        using StoredMatrix matrix = new(type, rows, columns);
        using GuardedBuffer input = new(columns * sizeof(float));
        TestData.Random(columns, 3).CopyTo(input.AsSpan<float>());
        float[] whole = new float[rows];
        LinearLayer.Multiply(context, matrix.Weights, input.AsSpan<float>(), whole, 1);
        Random random = new(4);
        for (int count = 0; count <= 200; count += count < 10 ? 1 : 19)
        {
            using GuardedBuffer output = new(count * sizeof(float)), list = new(count * sizeof(int));
            for (int i = 0; i < count; i++) list.AsSpan<int>()[i] = random.Next(rows);
            if (count > 0) list.AsSpan<int>()[^1] = rows - 1;
            GatheredGemv.Rows(context, matrix.Weights, list.AsSpan<int>(), input.AsSpan<float>(), output.AsSpan<float>());
            for (int i = 0; i < count; i++) Assert.That(output.AsSpan<float>()[i], Is.EqualTo(whole[list.AsSpan<int>()[i]]), $"count {count}, {i}");
            output.AssertCanary();
        }
    }

    [Test]
    public void Channels_EveryLength_MatchesOracle([ValueSource(nameof(Paths))] Isa isa, [ValueSource(nameof(FloatTypes))] DataType type)
    {
        for (int outputs = 1; outputs <= 257; outputs++) AssertChannels(isa, type, 23, outputs, outputs % 12, outputs % 2 == 1);
    }

    [TestCase(300, 5000, 211)]
    [TestCase(2500, 768, 1900)]
    [TestCase(40, 14337, 40)]
    [TestCase(3, 150001, 2)]
    public void Channels_ManyPartsAndBlocks_MatchesOracle(int channels, int outputs, int count)
    {
        foreach (Isa isa in Paths)
        {
            if (!IsaRegistry.IsSupported(isa)) continue;
            foreach (DataType type in FloatTypes) AssertChannels(isa, type, channels, outputs, count, accumulate: true);
        }
    }

    [Test]
    public void Channels_EveryHalf_IsExact([ValueSource(nameof(Paths))] Isa isa)
    {
        using NativeBuffer weights = new(65536 * 2);
        for (int bits = 0; bits < 65536; bits++) ((ushort*)weights.Pointer)[bits] = (ushort)bits;
        float[] output = new float[65536];
        GatheredGemv.Channels(Contexts.For(isa), new WeightMatrix(weights.Pointer, DataType.F16, 1, 65536), [0], [1], output);
        for (int bits = 0; bits < 65536; bits++)
        {
            float expected = (float)BitConverter.UInt16BitsToHalf((ushort)bits);
            if (!output[bits].Equals(expected)) Assert.Fail($"half {bits:X4}: got {output[bits]}, expected {expected}");
        }
    }

    [Test]
    public void Channels_AnyAlignment_SameBits([ValueSource(nameof(Paths))] Isa isa, [ValueSource(nameof(FloatTypes))] DataType type)
    {
        const int channels = 300, outputs = 777, count = 250;
        using StoredMatrix matrix = new(type, channels, outputs);
        int[] list = RandomList(channels, count);
        float[] activations = TestData.Random(count, 3);
        float[][] first = [.. Enumerable.Range(0, 3).Select(_ => new float[outputs])];
        for (int i = 0; i < 3; i++) GatheredGemv.Channels(Contexts.For(isa, 1 + i), matrix.Weights, list, activations, first[i]);
        Assert.That(first, Has.All.None.Zero);
        int bytes = channels * outputs * type.Size();
        using NativeBuffer weights = new(bytes + 64);
        float[] output = new float[outputs + 16];
        for (int shift = 0; shift < 16; shift++)
        {
            byte* data = (byte*)weights.Pointer + (shift * type.Size());
            Buffer.MemoryCopy(matrix.Weights.Data, data, bytes, bytes);
            Span<float> y = output.AsSpan(shift, outputs);
            GatheredGemv.Channels(Contexts.For(isa, 1 + (shift % 3)), new WeightMatrix(data, type, channels, outputs), list, activations, y);
            Assert.That(y.SequenceEqual(first[shift % 3]), Is.True, $"shift {shift}");
        }
    }

    [Test]
    public void RowsAndChannels_Warm_AllocateNothing([ValueSource(nameof(Paths))] Isa isa)
    {
        using StoredMatrix matrix = new(DataType.BF16, 600, 600);
        int[] list = RandomList(600, 400);
        float[] input = TestData.Random(600, 3), output = new float[600];
        KernelContext context = Contexts.For(isa);
        Allocations.AssertNone(() =>
        {
            GatheredGemv.Rows(context, matrix.Weights, list, input, output);
            GatheredGemv.Channels(context, matrix.Weights, list, input, output);
        });
    }

    [Test]
    public void RowsAndChannels_WrongArguments_NameThem()
    {
        KernelContext context = Contexts.For(Isa.Scalar);
        using StoredMatrix matrix = new(DataType.F32, 4, 8), quantized = new(DataType.Q8, 4, 32);
        WeightMatrix weights = matrix.Weights, bytes = quantized.Weights;
        float[] x = new float[8], y = new float[8];
        Assert.Multiple(() =>
        {
            Assert.That(() => GatheredGemv.Rows(null!, weights, [0], x, y), Throws.ArgumentNullException);
            Assert.That(() => GatheredGemv.Rows(context, default, [0], x, y), Throws.ArgumentNullException);
            Assert.That(() => GatheredGemv.Rows(context, weights, [0, 4], x, y), Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.Contains("rows[1]: got 4, expected 0 to 3"));
            Assert.That(() => GatheredGemv.Rows(context, weights, [-1], x, y), Throws.TypeOf<ArgumentOutOfRangeException>());
            Assert.That(() => GatheredGemv.Rows(context, weights, [0], x.AsSpan(1), y), Throws.ArgumentException.With.Message.Contains("input"));
            Assert.That(() => GatheredGemv.Rows(context, weights, [0, 1], x, y.AsSpan(7)), Throws.ArgumentException.With.Message.Contains("output"));
            Assert.That(() => GatheredGemv.Rows(context, weights, [0], x, x.AsSpan(7)), Throws.ArgumentException.With.Message.Contains("overlaps"));
            Assert.That(() => GatheredGemv.Channels(context, weights, [4], x, y), Throws.TypeOf<ArgumentOutOfRangeException>());
            Assert.That(() => GatheredGemv.Channels(context, weights, [0, 1], x.AsSpan(7), y), Throws.ArgumentException.With.Message.Contains("activations"));
            Assert.That(() => GatheredGemv.Channels(context, weights, [0], x, y.AsSpan(1)), Throws.ArgumentException.With.Message.Contains("output"));
            Assert.That(() => GatheredGemv.Channels(context, weights, [0], y.AsSpan(2), y), Throws.ArgumentException.With.Message.Contains("overlaps"));
            Assert.That(() => GatheredGemv.Channels(context, bytes, [0], x, new float[32]), Throws.ArgumentException.With.Message.Contains("got q8"));
        });
    }

    private static int[] RandomList(int end, int count)
    {
        Random random = new(6);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(end))];
    }

    private static void AssertChannels(Isa isa, DataType type, int channels, int outputs, int count, bool accumulate)
    {
        using StoredMatrix matrix = new(type, channels, outputs, outputs);
        using GuardedBuffer activations = new(count * sizeof(float)), output = new(outputs * sizeof(float)), list = new(count * sizeof(int));
        RandomList(channels, count).CopyTo(list.AsSpan<int>());
        if (count > 0) list.AsSpan<int>()[^1] = channels - 1;
        TestData.Random(count, 3).CopyTo(activations.AsSpan<float>());
        TestData.Random(outputs, 5).CopyTo(output.AsSpan<float>());
        double[] expected = new double[outputs], magnitudes = new double[outputs];
        for (int o = 0; o < outputs; o++)
        {
            if (accumulate) expected[o] = output.AsSpan<float>()[o];
            magnitudes[o] = Math.Abs(expected[o]);
            for (int i = 0; i < count; i++)
            {
                double product = activations.AsSpan<float>()[i] * matrix.Values[(list.AsSpan<int>()[i] * outputs) + o];
                expected[o] += product;
                magnitudes[o] += Math.Abs(product);
            }
        }

        GatheredGemv.Channels(Contexts.For(isa), matrix.Weights, list.AsSpan<int>(), activations.AsSpan<float>(), output.AsSpan<float>(), accumulate);
        for (int o = 0; o < outputs; o++)
        {
            double allowed = 1e-6 + (2e-6 * magnitudes[o]);
            if (!(Math.Abs(output.AsSpan<float>()[o] - expected[o]) <= allowed)) Assert.Fail($"{isa} {type} [{channels}, {outputs}] of {count}, {o}: got {output.AsSpan<float>()[o]:R}, expected {expected[o]:R}");
        }

        output.AssertCanary();
    }
}
