using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Numerics;

internal sealed class TopKTests
{
    [Test]
    public void Select_EveryLength_MatchesSort([Values("random", "few", "specials", "equal")] string kind)
    {
        foreach (int length in TestData.Lengths)
        {
            float[] values = Values(kind, length);
            int[] order = ReferenceNumerics.Order(values);
            foreach (int count in (int[])[0, 1, length / 3, length / 2, length - 1, length])
            {
                if (count < 0 || count > length) continue;
                int[] indices = new int[count];
                TopK.Select(values, indices);
                Assert.That(indices, Is.EqualTo(order.Take(count).Order()), $"{kind} {count} of {length}");
                TopK.SelectOrdered(values, indices);
                Assert.That(indices, Is.EqualTo(order.Take(count)), $"{kind} {count} of {length}, ordered");
            }
        }
    }

    [Test]
    public void Select_LongRow_MatchesSort([Values("random", "few", "specials")] string kind)
    {
        float[] values = Values(kind, 100_003);
        int[] indices = new int[4096];
        TopK.Select(values, indices);
        Assert.That(indices, Is.EqualTo(ReferenceNumerics.Order(values).Take(4096).Order()));
    }

    [Test]
    public void Select_KnownTable_LowerIndexWinsAndNaNIsLast()
    {
        float[] values = [1, float.NaN, 3, -0f, 0, 3, float.NegativeInfinity, 3, float.PositiveInfinity];
        Assert.That(Chosen(3), Is.EqualTo((int[])[2, 5, 8]));
        Assert.That(Chosen(6), Is.EqualTo((int[])[0, 2, 3, 5, 7, 8]));
        Assert.That(Chosen(8), Is.EqualTo((int[])[0, 2, 3, 4, 5, 6, 7, 8]));

        int[] Chosen(int count)
        {
            int[] indices = new int[count];
            TopK.Select(values, indices);
            return indices;
        }
    }

    [Test]
    public void Select_MoreIndicesThanValues_Refused()
        => Assert.That(() => TopK.Select(new float[3], new int[4]), Throws.ArgumentException.With.Message.Contains("at most 3"));

    private static float[] Values(string kind, int length)
    {
        float[] values = TestData.Random(length, length + 7);
        float[] specials = [float.NaN, float.PositiveInfinity, float.NegativeInfinity, -0f, 0f, float.Epsilon, -float.Epsilon, float.MaxValue];
        for (int i = 0; i < length; i++)
        {
            values[i] = kind switch
            {
                "few" => MathF.Round(values[i]),
                "specials" => specials[(int)(Math.Abs(values[i]) * 1000) % specials.Length],
                "equal" => 1.5f,
                _ => values[i],
            };
        }

        return values;
    }
}
