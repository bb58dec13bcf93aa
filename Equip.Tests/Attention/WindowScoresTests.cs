using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Attention;

internal sealed unsafe class WindowScoresTests
{
    private static readonly DataType[] _types = [DataType.F32, DataType.F16, DataType.BF16];

    [Test]
    public void Compute_AnyWindowAndPast_MatchesReference([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [ValueSource(nameof(_types))] DataType type)
    {
        KernelContext context = Contexts.For(isa);
        (int Heads, int KvHeads, int HeadDim)[] shapes = [(4, 2, 64), (1, 1, 16), (8, 1, 80), (3, 3, 128), (3, 1, 32)];
        int step = 0;
        foreach (int window in (int[])[1, 2, 7, 16, 32, 97])
            foreach (int past in (int[])[0, 1, 37, 300, 700 / window])
            {
                (int heads, int kvHeads, int headDim) = shapes[step++ % shapes.Length];
                Check(context, new AttentionShape(heads, kvHeads, headDim, type), past, window, 0);
            }
    }

    [Test]
    public void Compute_AnyAlignment_SameBits([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa)
    {
        float[]? first = null;
        for (int misalign = 0; misalign < 18; misalign++)
        {
            float[] probabilities = Check(Contexts.For(isa), new AttentionShape(4, 2, 32, DataType.BF16), 53, 9, misalign);
            Assert.That(probabilities, Is.EqualTo(first ??= probabilities), $"misalignment {misalign}");
        }
    }

    [Test]
    public void Compute_Again_AllocatesNothing([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa)
    {
        KernelContext context = Contexts.For(isa);
        using PrefillAttentionCase inputs = new(new AttentionShape(4, 2, 32, DataType.F16), 90, 32);
        float[] probabilities = new float[4 * 32 * 122];
        Allocations.AssertNone(() => WindowScores.Compute(context, inputs.Shape, inputs.Queries, inputs.Keys(), probabilities, 32));
    }

    private static float[] Check(KernelContext context, AttentionShape shape, int past, int window, int misalign)
    {
        using PrefillAttentionCase inputs = new(shape, past, window, misalign: misalign);
        int rows = past + window;
        using GuardedBuffer stored = new(((shape.Heads * window * rows) + misalign) * sizeof(float));
        Span<float> probabilities = stored.AsSpan<float>()[..(shape.Heads * window * rows)];
        stored.AsSpan<float>().Fill(float.NaN);

        // Values are not read.
        WindowScores.Compute(context, shape, inputs.Queries, inputs.Keys() with { Values = null }, probabilities, window);
        stored.AssertCanary();
        Assert.That(stored.AsSpan<float>()[probabilities.Length..].IndexOfAnyExcept(float.NaN), Is.EqualTo(-1));
        for (int head = 0; head < shape.Heads; head++)
            for (int token = 0; token < window; token++)
            {
                double[] expected = ReferencePrefillAttention.Probabilities(shape, inputs.Queries, default, inputs.KeyRows, rows, past, 0, 0, token, head);
                ReadOnlySpan<float> row = probabilities.Slice(((head * window) + token) * rows, rows);
                TestData.AssertClose(row, expected, inputs.Tolerance, 0, $"{shape.CacheType} past {past} window {window} head {head} token {token}");
                Assert.That(row[(past + token + 1)..].IndexOfAnyExcept(0f), Is.EqualTo(-1), "later keys");
            }

        return probabilities.ToArray();
    }
}
