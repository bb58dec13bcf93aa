using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Attention;

/// <summary>What rows receive from a prompt, which the attention pass gives beside its output.</summary>
internal sealed class PrefillAttentionColumnSumsTests
{
    private static readonly DataType[] _types = [DataType.F32, DataType.F16, DataType.BF16];

    [Test]
    public void Attend_AnyTokensAndPast_MatchesReference([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [ValueSource(nameof(_types))] DataType type)
    {
        KernelContext context = Contexts.For(isa);
        (int Heads, int KvHeads, int HeadDim)[] shapes = [(4, 2, 16), (1, 1, 64), (8, 1, 32), (3, 3, 80), (3, 1, 16)];
        int step = 0;
        foreach (int tokens in (int[])[1, 5, 16, 47, 48, 49, 97, 200])
            foreach (int past in (int[])[0, 1, 37, 300])
            {
                (int heads, int kvHeads, int headDim) = shapes[step++ % shapes.Length];
                Check(context, new AttentionShape(heads, kvHeads, headDim, type), past, tokens, 0);
            }
    }

    [Test]
    public void Attend_AnyAlignment_SameBits([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa)
    {
        float[]? first = null;
        for (int misalign = 0; misalign < 18; misalign++)
        {
            float[] sums = Check(Contexts.For(isa), new AttentionShape(4, 2, 32, DataType.F16), 11, 60, misalign);
            Assert.That(sums, Is.EqualTo(first ??= sums), $"misalignment {misalign}");
        }
    }

    [Test]
    public void Attend_SumsAreAdded_OutputIsUnchanged([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa)
    {
        // The second half of a prompt adds to the first: together what one call gives.
        const int Tokens = 150, Half = 70;
        KernelContext context = Contexts.For(isa);
        using PrefillAttentionCase inputs = new(new AttentionShape(4, 2, 32, DataType.F32), 5, Tokens);
        inputs.Attend(context);
        float[] output = inputs.Output.ToArray(), whole = new float[2 * inputs.Keys().HeadStride], halves = new float[whole.Length];
        inputs.Attend(context, columnSums: whole);
        Assert.That(inputs.Output.SequenceEqual(output));
        int width = 4 * 32;
        PrefillAttention.Attend(context, inputs.Shape, inputs.Queries, default, inputs.Keys(), inputs.Output, Half, halves);
        PrefillAttention.Attend(context, inputs.Shape, inputs.Queries[(Half * width)..], default, inputs.Keys() with { Past = 5 + Half }, inputs.Output[(Half * width)..], Tokens - Half, halves);
        TestData.AssertClose(halves, Array.ConvertAll(whole, sum => (double)sum), 1e-5, 1e-5);
    }

    // More keys than a tile's probabilities are kept of, for the narrowest and the widest tiles: 8192 and 2048.
    [TestCase(8, 8300, 5)]
    [TestCase(16, 2200, 200)]
    public void Attend_MoreKeysThanAreKept_MatchesReference(int kvHeads, int past, int tokens)
    {
        foreach (Isa isa in IsaRegistry.Supported) Check(Contexts.For(isa), new AttentionShape(kvHeads, kvHeads, 16, DataType.F16), past, tokens, 0);
    }

    [Test]
    public void Attend_Again_AllocatesNothing([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa)
    {
        KernelContext context = Contexts.For(isa);
        using PrefillAttentionCase inputs = new(new AttentionShape(4, 2, 32, DataType.F16), 90, 32);
        float[] sums = new float[2 * inputs.Keys().HeadStride];
        Allocations.AssertNone(() => inputs.Attend(context, columnSums: sums));
    }

    private static float[] Check(KernelContext context, AttentionShape shape, int past, int tokens, int misalign)
    {
        using PrefillAttentionCase inputs = new(shape, past, tokens, misalign: misalign);
        int rows = past + tokens, stride = (int)inputs.Keys().HeadStride, elements = ((shape.KvHeads - 1) * stride) + rows;
        using GuardedBuffer stored = new((elements + misalign) * sizeof(float));
        Span<float> sums = stored.AsSpan<float>()[..elements];
        stored.AsSpan<float>().Fill(float.NaN);
        for (int head = 0; head < shape.KvHeads; head++) sums.Slice(head * stride, rows).Clear();
        inputs.AssertAttends(context, columnSums: sums);
        stored.AssertCanary();

        double[] expected = new double[shape.KvHeads * rows];
        for (int head = 0; head < shape.Heads; head++)
            for (int token = 0; token < tokens; token++)
            {
                double[] row = ReferencePrefillAttention.Probabilities(shape, inputs.Queries, default, inputs.KeyRows, rows, past, 0, 0, token, head);
                for (int key = 0; key < rows; key++) expected[(head / shape.Group * rows) + key] += row[key];
            }

        float[] received = new float[expected.Length];
        for (int head = 0; head < shape.KvHeads; head++)
        {
            sums.Slice(head * stride, rows).CopyTo(received.AsSpan(head * rows));
            sums.Slice(head * stride, rows).Fill(float.NaN);
        }

        float[] alone = [.. Enumerable.Repeat(float.NaN, received.Length)];
        PrefillAttention.ColumnSums(context, shape, inputs.Queries, inputs.Keys(), alone, tokens);
        Assert.That(alone, Is.EqualTo(received));
        Assert.That(stored.AsSpan<float>().IndexOfAnyExcept(float.NaN), Is.EqualTo(-1), "only the rows' elements are written");
        TestData.AssertClose(received, expected, inputs.Tolerance, 1e-4, $"{shape.CacheType} past {past} tokens {tokens} group {shape.Group}");
        return received;
    }
}
