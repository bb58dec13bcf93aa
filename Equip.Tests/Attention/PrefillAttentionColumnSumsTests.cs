using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Attention;

internal sealed class PrefillAttentionColumnSumsTests
{
    private static readonly DataType[] _types = [DataType.F32, DataType.F16, DataType.BF16];

    [Test]
    public void Compute_AnyTokensAndPast_MatchesReference([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [ValueSource(nameof(_types))] DataType type)
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
    public void Compute_AnyAlignment_SameBits([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa)
    {
        float[]? first = null;
        for (int misalign = 0; misalign < 18; misalign++)
        {
            float[] sums = Check(Contexts.For(isa), new AttentionShape(4, 2, 32, DataType.F16), 11, 60, misalign);
            Assert.That(sums, Is.EqualTo(first ??= sums), $"misalignment {misalign}");
        }
    }

    [Test]
    public void Compute_Again_AllocatesNothing([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa)
    {
        KernelContext context = Contexts.For(isa);
        using PrefillAttentionCase inputs = new(new AttentionShape(4, 2, 32, DataType.F16), 90, 32);
        float[] sums = new float[2 * 122];
        PrefillColumnSums.Compute(context, inputs.Shape, inputs.Queries, inputs.Keys(), sums, 32);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10; i++) PrefillColumnSums.Compute(context, inputs.Shape, inputs.Queries, inputs.Keys(), sums, 32);
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }

    private static float[] Check(KernelContext context, AttentionShape shape, int past, int tokens, int misalign)
    {
        using PrefillAttentionCase inputs = new(shape, past, tokens, misalign: misalign);
        int rows = past + tokens;
        using GuardedBuffer stored = new(((shape.KvHeads * rows) + misalign) * sizeof(float));
        Span<float> sums = stored.AsSpan<float>()[..(shape.KvHeads * rows)];
        stored.AsSpan<float>().Fill(float.NaN);
        PrefillColumnSums.Compute(context, shape, inputs.Queries, inputs.Keys(), sums, tokens);
        stored.AssertCanary();
        Assert.That(stored.AsSpan<float>()[sums.Length..].IndexOfAnyExcept(float.NaN), Is.EqualTo(-1));

        double[] expected = new double[shape.KvHeads * rows];
        for (int head = 0; head < shape.Heads; head++)
            for (int token = 0; token < tokens; token++)
            {
                double[] row = ReferencePrefillAttention.Probabilities(shape, inputs.Queries, default, inputs.KeyRows, rows, past, 0, 0, token, head);
                for (int key = 0; key < rows; key++) expected[(head / shape.Group * rows) + key] += row[key];
            }

        TestData.AssertClose(sums, expected, inputs.Tolerance, 1e-4, $"{shape.CacheType} past {past} tokens {tokens} group {shape.Group}");
        return sums.ToArray();
    }
}
