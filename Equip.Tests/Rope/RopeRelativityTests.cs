using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Rope;

/// <summary>What in-place eviction rests on: a score depends on the difference of two rotations only, wherever both are.</summary>
internal sealed unsafe class RopeRelativityTests
{
    private const int HeadDim = 128, Pairs = HeadDim / 2;

    [Test]
    public void Scores_AtIndexOneMillion_EqualThoseAtZero(
        [Values(Isa.Scalar, Isa.Avx2, Isa.Avx512)] Isa isa, [Values] RopeLayout layout, [Values(RopeType.Default, RopeType.Llama3)] RopeType type)
    {
        KernelContext context = Contexts.For(isa);
        RopeTable table = Table(layout, type);
        float[] query = Unit(1), key = Unit(2);
        foreach (int difference in (int[])[0, 1, 2, 100, 4095])
        {
            double expected = Score(context, table, query, key, difference, 0);
            foreach (int shift in (int[])[1, 63, 1000, 1_000_000, 16_000_000])
                Assert.That(Score(context, table, query, key, difference + shift, shift), Is.EqualTo(expected).Within(1e-6), $"difference {difference}, shift {shift}");
        }
    }

    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void Scores_SuffixAtItsPositionsOrFromZero_Equal(Isa isa)
    {
        const int Kept = 40, Prefix = 1234;
        KernelContext context = Contexts.For(isa);
        RopeTable table = Table(RopeLayout.HalfSplit, RopeType.Default);
        float[] keys = TestData.Random(Kept * HeadDim, scale: 0.05f), query = Unit(3);
        double[] late = Scores(Prefix), early = Scores(0);
        for (int i = 0; i < Kept; i++) Assert.That(late[i], Is.EqualTo(early[i]).Within(2e-6));

        double[] Scores(int first)
        {
            float[] rotated = Rotate(context, table, keys, [.. Enumerable.Range(first, Kept)]), rotatedQuery = Rotate(context, table, query, [first + Kept - 1]);
            return [.. Enumerable.Range(0, Kept).Select(i => ReferenceRope.Dot(rotatedQuery, rotated.AsSpan(i * HeadDim, HeadDim)))];
        }
    }

    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void RotateStored_ThousandDeltas_FloatAgreesSixteenBitDrifts(Isa isa)
    {
        KernelContext context = Contexts.For(isa);
        RopeTable table = Table(RopeLayout.HalfSplit, RopeType.Default);
        Assert.That(Drift(context, table, DataType.F32, 1000), Is.LessThan(4e-5), "float32: the rounding of cos and sin themselves, a thousand times");

        // Why a stored 16-bit key is never rotated twice. One rotation costs one rounding (2^-12 to 2^-11 of the row in
        // binary16); a thousand cost more than a hundred times that, since a rotation by less than half a unit is lost whole.
        double once = Drift(context, table, DataType.F16, 1), thousand = Drift(context, table, DataType.F16, 1000);
        Assert.That(once, Is.InRange(1e-4, 5e-4));
        Assert.That(thousand, Is.InRange(1e-2, 0.2));
        Assert.That(Drift(context, table, DataType.BF16, 1), Is.InRange(1e-3, 4e-3));
        Assert.That(Drift(context, table, DataType.BF16, 1000), Is.GreaterThan(0.1));
    }

    [Test]
    public void RotateAndFill_AfterFirstCall_AllocateNothing()
    {
        KernelContext context = Contexts.For(IsaRegistry.Resolve(Isa.Auto));
        RopeTable table = Table(RopeLayout.HalfSplit, RopeType.Default);
        float[] rows = TestData.Random(512 * HeadDim), cos = new float[512 * Pairs], sin = new float[512 * Pairs];
        int[] positions = [.. Enumerable.Range(0, 512)];
        Allocations.AssertNone(() =>
        {
            fixed (float* p = rows)
            {
                table.Fill(positions, cos, sin);
                table.FillDelta(-1, cos, sin);
                RopeRotation.Rotate(context, table, rows, rows, cos, sin, 512, 1);
                RopeRotation.RotateStored(context, table, p, DataType.F32, 512, cos, sin);
                RopeRotation.RotateStoredRows(context, table, p, p, DataType.BF16, 512, cos, sin);
            }
        });
    }

    private static RopeTable Table(RopeLayout layout, RopeType type)
        => new(new RopeOptions { HeadDim = HeadDim, Layout = layout, Type = type, Theta = type == RopeType.Default ? 10000 : 500000, Factor = 8, OriginalMaxPositions = 8192 });

    private static float[] Rotate(KernelContext context, RopeTable table, float[] rows, int[] positions)
    {
        float[] cos = new float[positions.Length * Pairs], sin = new float[positions.Length * Pairs], rotated = new float[rows.Length];
        table.Fill(positions, cos, sin);
        RopeRotation.Rotate(context, table, rows, rotated, cos, sin, positions.Length, 1);
        return rotated;
    }

    private static double Score(KernelContext context, RopeTable table, float[] query, float[] key, int queryPosition, int keyPosition)
        => ReferenceRope.Dot(Rotate(context, table, query, [queryPosition]), Rotate(context, table, key, [keyPosition]));

    private static float[] Unit(int seed)
    {
        float[] row = TestData.Random(HeadDim, seed);
        double norm = Math.Sqrt(ReferenceRope.Dot(row, row));
        return [.. row.Select(x => (float)(x / norm))];
    }

    /// <summary>The distance, relative to the norm, between keys rotated <paramref name="times"/> times by -1 as stored and keys rotated once in double.</summary>
    private static double Drift(KernelContext context, RopeTable table, DataType type, int times)
    {
        const int Count = 32;
        byte[] stored = new byte[Count * HeadDim * type.Size()];
        float[] rows = new float[Count * HeadDim], cos = new float[Pairs], sin = new float[Pairs], drifted = new float[Count * HeadDim];
        fixed (byte* p = stored)
        {
            Conversion.Narrow(context.Isa, TestData.Random(Count * HeadDim), p, type);
            Conversion.Widen(context.Isa, p, type, rows);
            table.FillDelta(-1, cos, sin);
            for (int i = 0; i < times; i++) RopeRotation.RotateStored(context, table, p, type, Count, cos, sin);
            Conversion.Widen(context.Isa, p, type, drifted);
        }

        table.FillDelta(-times, cos, sin);
        double difference = 0, norm = 0;
        for (int row = 0; row < Count; row++)
        {
            double[] exact = ReferenceRope.Rotate(rows.AsSpan(row * HeadDim, HeadDim), cos, sin, table.Options.Layout);
            for (int i = 0; i < HeadDim; i++)
            {
                difference += Math.Pow(drifted[(row * HeadDim) + i] - exact[i], 2);
                norm += exact[i] * exact[i];
            }
        }

        return Math.Sqrt(difference / norm);
    }
}
