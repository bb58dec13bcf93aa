using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;

namespace Equip.Tests.Eviction;

internal sealed class VictimsTests
{
    [Test]
    public void Lowest_RandomScoresTiesAndNaN_EqualsAPlainScan([Values(1, 7, 16, 64)] int page, [Values(1, 5, 8, 61, 64, 200)] int rows)
    {
        using PagePool pool = new(page, 16, DataType.F32);
        using HeadCache head = new(pool);
        Random random = new(page + rows);
        int[] order = [.. Enumerable.Range(10, rows)];
        random.Shuffle(order);
        foreach (int position in order) head.Write(Isa.Scalar, head.NextFreeSlot(), new float[16], new float[16], position, position);
        for (int round = 0; round < 50; round++)
        {
            // Few values, so that many tie, and all the special ones.
            float[] values = [0, -0f, 1, 0.5f, 3, float.PositiveInfinity, .. round % 3 == 0 ? [float.NaN, float.NegativeInfinity] : Array.Empty<float>()];
            for (int slot = 0; slot < rows; slot++) head.Scores[slot] = round % 2 == 0 ? values[random.Next(values.Length)] : random.NextSingle();
            int before = random.Next(9, rows + 12);
            float[] received = [.. Enumerable.Range(0, rows).Select(_ => random.NextSingle())], scores = head.Scores[..rows].ToArray();
            Assert.That(Victims.Lowest(head, head.Scores, before), Is.EqualTo(Plain(head, before)), $"round {round} before {before}");
            int victim = Victims.Lowest(head, head.Scores, before, received);
            Assert.That(head.Scores[..rows].ToArray(), Is.EqualTo(scores.Zip(received, (score, more) => score + more)));
            Assert.That(victim, Is.EqualTo(Plain(head, before)), $"round {round} before {before}, received");
        }
    }

    [Test]
    public void Lowest_PartlyFilledPages_IgnoresDeadRows()
    {
        using PagePool pool = new(16, 16, DataType.F32);
        using HeadCache head = new(pool);
        for (int position = 0; position < 48; position++) head.Write(Isa.Scalar, position, new float[16], new float[16], position, position);
        head.Scores.Fill(1);
        head.Scores[20] = 0;
        head.ClearPage(1);
        Assert.That(Victims.Lowest(head, head.Scores, 40), Is.EqualTo(39));
    }

    private static int Plain(HeadCache head, int before)
    {
        int[] eligible = [.. Enumerable.Range(0, head.Count).Where(slot => head.Positions[slot] < before)];
        return eligible.Length == 0 ? -1 : eligible.OrderBy(Score).ThenByDescending(slot => head.Positions[slot]).First();

        float Score(int slot) => float.IsNaN(head.Scores[slot]) ? float.NegativeInfinity : head.Scores[slot] == 0 ? 0 : head.Scores[slot];
    }
}
