using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Attention;

internal sealed class PrefillAttentionTests
{
    private static readonly DataType[] _types = [DataType.F32, DataType.F16, DataType.BF16];
    private static readonly int[] _headDims = [16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 240, 256];

    [Test]
    public void Attend_EveryTokenCount_MatchesReference([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [ValueSource(nameof(_types))] DataType type)
    {
        KernelContext context = Contexts.For(isa);
        int[] pasts = [0, 1, 37];
        for (int tokens = 1; tokens <= 70; tokens++)
        {
            using PrefillAttentionCase inputs = new(new AttentionShape(4, 2, 16 * (1 + (tokens % 2)), type), pasts[tokens % 3], tokens);
            inputs.AssertAttends(context);
        }
    }

    [Test]
    public void Attend_EveryShape_MatchesReference([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [Values(1, 2, 3, 4, 8)] int group)
    {
        KernelContext context = Contexts.For(isa);
        for (int i = 0; i < _headDims.Length; i++)
        {
            using PrefillAttentionCase inputs = new(new AttentionShape(group, 1, _headDims[i], _types[(i + group) % 3]), 37, 19 + i);
            inputs.AssertAttends(context, what: $"headDim {_headDims[i]}");
        }
    }

    // Several lane tiles and key tiles, a long past, a scale of its own.
    [TestCase(4, 2, 64, 333, 0)]
    [TestCase(2, 2, 128, 260, 300)]
    [TestCase(8, 1, 32, 130, 37)]
    [TestCase(3, 1, 80, 150, 300)]
    public void Attend_ManyTiles_MatchesReference(int heads, int kvHeads, int headDim, int tokens, int past)
    {
        foreach (Isa isa in IsaRegistry.Supported)
            foreach (DataType type in _types)
            {
                using PrefillAttentionCase inputs = new(new AttentionShape(heads, kvHeads, headDim, type, 0.07f), past, tokens);
                inputs.AssertAttends(Contexts.For(isa), what: $"{isa} {type}");
            }
    }

    [Test]
    public void Attend_WindowAndSinks_MatchesReference([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [Values] bool sinkQueries, [Values(0, 1, 37, 300)] int past)
    {
        KernelContext context = Contexts.For(isa);
        int step = past;
        foreach (int tokens in (int[])[1, 7, 110])
        {
            using PrefillAttentionCase inputs = new(new AttentionShape(4, 2, 32, _types[step++ % 3]), past, tokens, sinkQueries);
            foreach (int window in (int[])[0, 1, 2, 17, 64, 100, 1000])
                foreach (int sinks in (int[])[0, 1, 4])
                    inputs.AssertAttends(context, window, sinks);
            inputs.AssertAttends(context, 5, 90);
            inputs.AssertAttends(context, int.MaxValue, int.MaxValue);
        }
    }

    [Test]
    public void Attend_AnyAlignmentOrRepetition_SameBits([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [ValueSource(nameof(_types))] DataType type)
    {
        KernelContext context = Contexts.For(isa);
        float[]? first = null;
        for (int misalign = 0; misalign < 18; misalign++)
        {
            using PrefillAttentionCase inputs = new(new AttentionShape(6, 2, 48, type), 37, 90, sinkQueries: true, misalign);
            if (first is null) inputs.AssertAttends(context, 40, 4);
            inputs.Attend(context, 40, 4);
            first ??= inputs.Output.ToArray();
            Assert.That(inputs.Output.SequenceEqual(first), $"misalignment {misalign}");
        }
    }

    [Test]
    public void Attend_NonFiniteRow_ReachesOnlyTokensThatSeeIt(
        [ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [ValueSource(nameof(_types))] DataType type, [Values(float.NaN, float.PositiveInfinity)] float poison)
    {
        const int Past = 5, Tokens = 120, Bad = 60, Window = 30;
        KernelContext context = Contexts.For(isa);
        using PrefillAttentionCase inputs = new(new AttentionShape(2, 1, 32, type), Past, Tokens);
        foreach (int window in (int[])[0, Window])
        {
            inputs.Attend(context, window, 2);
            float[] clean = inputs.Output.ToArray();
            inputs.Poison(0, Bad, 7, poison);
            inputs.Attend(context, window, 2);
            for (int token = 0; token < Tokens; token++)
            {
                bool sees = Past + token >= Bad && (window == 0 || Past + token < Bad + window);
                ReadOnlySpan<float> actual = inputs.Output.Slice(token * 64, 64), expected = clean.AsSpan(token * 64, 64);
                if (!sees) TestData.AssertClose(actual, Array.ConvertAll(expected.ToArray(), x => (double)x), 1e-5, 1e-5, $"token {token} does not see the row");
                else if (float.IsNaN(poison)) Assert.That(actual.IndexOfAnyExcept(float.NaN), Is.EqualTo(-1), $"token {token} sees the row");
            }

            inputs.Poison(0, Bad, 7, inputs.KeyRows[(Bad * 32) + 7]);
        }
    }

    [Test]
    public void Attend_NaNQuery_ReachesOnlyItsHead([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa)
    {
        KernelContext context = Contexts.For(isa);
        using PrefillAttentionCase inputs = new(new AttentionShape(3, 1, 16, DataType.F32), 0, 40);
        inputs.Attend(context);
        float[] clean = inputs.Output.ToArray();
        inputs.Queries[(((20 * 3) + 1) * 16) + 3] = float.NaN;
        inputs.Attend(context);
        for (int row = 0; row < 120; row++)
        {
            ReadOnlySpan<float> actual = inputs.Output.Slice(row * 16, 16);
            if (row == 61) Assert.That(actual.IndexOfAnyExcept(float.NaN), Is.EqualTo(-1));
            else Assert.That(actual.SequenceEqual(clean.AsSpan(row * 16, 16)), $"row {row}");
        }
    }

    [Test]
    public void Attend_SixteenBitSpecialValues_AreWidenedExactly([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa)
    {
        // One key: the output is its V row, whatever the score.
        KernelContext context = Contexts.For(isa);
        using PrefillAttentionCase inputs = new(new AttentionShape(1, 1, 16, DataType.F16), 0, 1);
        float[] values = [0, -0f, 5.9604645e-8f, -6.0975552e-5f, 6.1035156e-5f, 65504, -65504, float.PositiveInfinity, float.NegativeInfinity, float.NaN, 1, -2, 0.33325195f, 1024, 3.0517578e-5f, -1.9990234f];
        for (int i = 0; i < values.Length; i++) inputs.Poison(0, 0, i, values[i]);
        unsafe
        {
            // Finite keys: the query sees V alone.
            using PrefillAttentionCase keys = new(new AttentionShape(1, 1, 16, DataType.F16), 0, 1);
            PrefillKeys mixed = new() { Keys = keys.Keys().Keys, Values = inputs.Keys().Values, HeadStride = 1 };
            PrefillAttention.Attend(context, inputs.Shape, keys.Queries, default, mixed, inputs.Output, 1);
        }

        Assert.That(inputs.Output.ToArray(), Is.EqualTo(values));
    }

    [Test]
    public void Attend_NoTokens_DoesNothing([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa)
    {
        KernelContext context = Contexts.For(isa);
        unsafe
        {
            PrefillKeys none = new() { Keys = null, Values = null, HeadStride = 0 };
            Assert.DoesNotThrow(() => PrefillAttention.Attend(context, new AttentionShape(2, 1, 16, DataType.F32), default, default, none, default, 0));
        }
    }

    [Test]
    public void Attend_Again_AllocatesNothing([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa)
    {
        KernelContext context = Contexts.For(isa);
        using PrefillAttentionCase inputs = new(new AttentionShape(4, 2, 64, DataType.BF16), 0, 130, sinkQueries: true);
        Allocations.AssertNone(() => inputs.Attend(context, 50, 4));
    }
}
