namespace Equip.Tests.Fixtures;

/// <summary>Random inputs with outliers (x20, one in fifty): zeros and well-behaved numbers hide faults.</summary>
internal static class TestData
{
    public const int Seed = 42;

    /// <summary>Every length around the vector widths, then longer ones.</summary>
    public static IEnumerable<int> Lengths => Enumerable.Range(0, 258);

    public static float[] Random(int count, int seed = Seed, float scale = 1)
    {
        Random random = new(seed);
        float[] values = new float[count];
        for (int i = 0; i < count; i++)
        {
            double normal = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
            values[i] = (float)(normal * scale * (random.Next(50) == 0 ? 20 : 1));
        }

        return values;
    }

    /// <summary>Fails with the worst element if |actual - expected| exceeds absolute + relative * |expected| anywhere.</summary>
    public static void AssertClose(ReadOnlySpan<float> actual, ReadOnlySpan<double> expected, double absolute, double relative, string what = "")
    {
        Assert.That(actual.Length, Is.EqualTo(expected.Length), $"{what} length");
        int worst = -1;
        double excess = 0;
        for (int i = 0; i < actual.Length; i++)
        {
            if (double.IsNaN(expected[i]) && float.IsNaN(actual[i])) continue;
            if (actual[i] == expected[i]) continue;
            double over = Math.Abs(actual[i] - expected[i]) - absolute - (relative * Math.Abs(expected[i]));
            if (over <= excess) continue;
            excess = double.IsNaN(over) ? double.PositiveInfinity : over;
            worst = i;
        }

        for (int i = 0; i < actual.Length && worst < 0; i++)
            if (float.IsNaN(actual[i]) != double.IsNaN(expected[i])) worst = i;
        if (worst >= 0) Assert.Fail($"{what} [{worst}]: got {actual[worst]:R}, expected {expected[worst]:R}");
    }
}
