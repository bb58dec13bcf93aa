using Equip.Kernels.Rope;
using Equip.Tests.Reference;

namespace Equip.Tests.Rope;

internal sealed class RopeTableTests
{
    private static readonly RopeOptions _llama31 = new()
    {
        HeadDim = 128,
        Theta = 500000,
        Type = RopeType.Llama3,
        Factor = 8,
        LowFrequencyFactor = 1,
        HighFrequencyFactor = 4,
        OriginalMaxPositions = 8192,
    };

    private static readonly RopeOptions _qwen25 = new() { HeadDim = 128, Theta = 1e6, Type = RopeType.Yarn, Factor = 4, OriginalMaxPositions = 32768 };

    private static readonly RopeOptions _gptOss = new() { HeadDim = 64, Theta = 150000, Type = RopeType.Yarn, Factor = 32, OriginalMaxPositions = 4096, Truncate = false };

    [Test]
    public void InverseFrequencies_DefaultAndLinear_ArePowersOfTheta([Values(2, 64, 80, 128)] int dim)
    {
        double[] expected = ReferenceRope.Default(10000, dim);
        AssertFrequencies(new RopeTable(new RopeOptions { HeadDim = dim }), expected);
        AssertFrequencies(new RopeTable(new RopeOptions { HeadDim = dim, Type = RopeType.Linear, Factor = 2.5 }), [.. expected.Select(f => f / 2.5)]);
    }

    [Test]
    public void InverseFrequencies_Partial_UseRotaryDim()
    {
        RopeTable table = new(new RopeOptions { HeadDim = 80, RotaryDim = 32, Theta = 1e6 });
        Assert.That(table.Pairs, Is.EqualTo(16));
        AssertFrequencies(table, ReferenceRope.Default(1e6, 32));
    }

    [TestCase(500000, 128, 8, 1, 4, 8192)]
    [TestCase(500000, 64, 32, 1, 4, 8192)]
    [TestCase(10000, 96, 3.5, 0.5, 8, 2048)]
    public void InverseFrequencies_Llama3_FollowFormula(double theta, int dim, double factor, double low, double high, int original)
    {
        RopeOptions options = _llama31 with { HeadDim = dim, Theta = theta, Factor = factor, LowFrequencyFactor = low, HighFrequencyFactor = high, OriginalMaxPositions = original };
        AssertFrequencies(new RopeTable(options), ReferenceRope.Llama3(theta, dim, factor, low, high, original));
        Assert.That(new RopeTable(options).AttentionFactor, Is.EqualTo(1));
    }

    // Values of Llama 3.1 8B (pairs 0-28 kept, 29-34 between, 35-63 divided by 8).
    [TestCase(1, 0.8146172338565447)]
    [TestCase(28, 0.0032114459947525913)]
    [TestCase(29, 0.002166570763503359)]
    [TestCase(31, 0.0008567514129196321)]
    [TestCase(34, 0.00017850781276799638)]
    [TestCase(35, 9.556212353964683e-05)]
    [TestCase(63, 3.068925988914511e-07)]
    public void InverseFrequencies_Llama31_KnownValues(int pair, double expected)
        => Assert.That(new RopeTable(_llama31).InverseFrequencies[pair], Is.EqualTo(expected).Within(1e-12).Percent);

    [TestCase(1000000, 128, 4, 32, 1, 32768, true)]
    [TestCase(150000, 64, 32, 32, 1, 4096, false)]
    [TestCase(10000, 64, 40, 32, 1, 4096, true)]
    [TestCase(10000, 16, 8, 1, 1, 1024, false)]
    [TestCase(10000, 16, 8, 32, 1, 64, true)]
    public void InverseFrequencies_Yarn_FollowFormula(double theta, int dim, double factor, double fast, double slow, int original, bool truncate)
    {
        RopeOptions options = _qwen25 with { HeadDim = dim, Theta = theta, Factor = factor, BetaFast = fast, BetaSlow = slow, OriginalMaxPositions = original, Truncate = truncate };
        AssertFrequencies(new RopeTable(options), ReferenceRope.Yarn(theta, dim, factor, fast, slow, original, truncate));
    }

    // Qwen2.5 with factor 4: the ramp runs from pair 23 to 40. gpt-oss, whose range is not rounded: 8.09 to 17.40.
    [TestCase(true, 23, 0.006978305848598663)]
    [TestCase(true, 24, 0.005375321490790102)]
    [TestCase(true, 39, 6.490394320837028e-05)]
    [TestCase(true, 40, 4.445698525097307e-05)]
    [TestCase(false, 8, 0.050813274815461475)]
    [TestCase(false, 9, 0.03170569618466377)]
    [TestCase(false, 17, 0.00012931870124506317)]
    [TestCase(false, 31, 3.0235114281192144e-07)]
    public void InverseFrequencies_Yarn_KnownValues(bool truncate, int pair, double expected)
        => Assert.That(new RopeTable(truncate ? _qwen25 : _gptOss).InverseFrequencies[pair], Is.EqualTo(expected).Within(1e-12).Percent);

    [Test]
    public void AttentionFactor_Yarn_DefaultsAndOverrides()
    {
        Assert.That(new RopeTable(_gptOss).AttentionFactor, Is.EqualTo(1.3465735902799727).Within(1e-15));
        Assert.That(new RopeTable(_qwen25).AttentionFactor, Is.EqualTo(1.1386294361119891).Within(1e-15));
        Assert.That(new RopeTable(_qwen25 with { AttentionFactor = 0.7 }).AttentionFactor, Is.EqualTo(0.7));
        Assert.That(new RopeTable(_qwen25 with { Factor = 0.5 }).AttentionFactor, Is.EqualTo(1));
        Assert.That(new RopeTable(_qwen25 with { Factor = 40, MScale = 1, MScaleAllDim = 1 }).AttentionFactor, Is.EqualTo(1));
        Assert.That(new RopeTable(_qwen25 with { Factor = 40, MScale = 0.707 }).AttentionFactor, Is.EqualTo((0.1 * Math.Log(40)) + 1).Within(1e-15));
        Assert.That(
            new RopeTable(_qwen25 with { Factor = 40, MScale = 1, MScaleAllDim = 0.5 }).AttentionFactor,
            Is.EqualTo(((0.1 * Math.Log(40)) + 1) / ((0.05 * Math.Log(40)) + 1)).Within(1e-15));
    }

    [Test]
    public void Fill_AnyPosition_MatchesDouble()
    {
        RopeTable table = new(_gptOss);
        int[] positions = [0, 1, 63, 64, 65, 127, 128, 2047, 4096, 1_000_000, 1_000_001, 1 << 24, int.MaxValue, -1, -64, -65, -1_000_000, 5];
        float[] cos = new float[positions.Length * table.Pairs], sin = new float[positions.Length * table.Pairs];
        table.Fill(positions, cos, sin);
        for (int row = 0; row < positions.Length; row++)
        {
            for (int i = 0; i < table.Pairs; i++)
            {
                // A double angle of a billion radians is itself only good to 1e-7.
                double angle = positions[row] * table.InverseFrequencies[i], tolerance = 1e-7 + (3e-16 * Math.Abs(angle));
                Assert.That(cos[(row * table.Pairs) + i], Is.EqualTo(Math.Cos(angle) * table.AttentionFactor).Within(tolerance));
                Assert.That(sin[(row * table.Pairs) + i], Is.EqualTo(Math.Sin(angle) * table.AttentionFactor).Within(tolerance));
            }
        }
    }

    [Test]
    public void Fill_PositionAloneOrAmongOthers_SameBits()
    {
        RopeTable table = new(_llama31);
        int[] positions = [.. Enumerable.Range(1000, 300)];
        float[] cos = new float[300 * 64], sin = new float[300 * 64], oneCos = new float[64], oneSin = new float[64];
        table.Fill(positions, cos, sin);
        for (int row = 0; row < 300; row += 7)
        {
            table.Fill(positions.AsSpan(row, 1), oneCos, oneSin);
            Assert.That(cos.AsSpan(row * 64, 64).SequenceEqual(oneCos) && sin.AsSpan(row * 64, 64).SequenceEqual(oneSin), $"position {positions[row]}");
        }
    }

    [Test]
    public void FillDelta_Yarn_HasNoAttentionFactor()
    {
        RopeTable table = new(_gptOss);
        float[] cos = new float[32], sin = new float[32];
        table.FillDelta(-17, cos, sin);
        for (int i = 0; i < 32; i++)
        {
            Assert.That(cos[i], Is.EqualTo((float)Math.Cos(-17 * table.InverseFrequencies[i])));
            Assert.That(sin[i], Is.EqualTo((float)Math.Sin(-17 * table.InverseFrequencies[i])));
        }
    }

    [Test]
    public void Constructor_BadOptions_NameTheOption()
    {
        Refused(new RopeOptions { HeadDim = 0 }, "HeadDim");
        Refused(new RopeOptions { HeadDim = 1026 }, "HeadDim");
        Refused(new RopeOptions { HeadDim = 7 }, "RotaryDim");
        Refused(new RopeOptions { HeadDim = 8, RotaryDim = 3 }, "RotaryDim");
        Refused(new RopeOptions { HeadDim = 8, RotaryDim = 10 }, "RotaryDim");
        Refused(new RopeOptions { HeadDim = 8, Theta = 1 }, "Theta");
        Refused(new RopeOptions { HeadDim = 8, Theta = double.NaN }, "Theta");
        Refused(new RopeOptions { HeadDim = 8, Type = (RopeType)9 }, "Type");
        Refused(new RopeOptions { HeadDim = 8, Layout = (RopeLayout)9 }, "Layout");
        Refused(new RopeOptions { HeadDim = 8, Type = RopeType.Linear, Factor = 0 }, "Factor");
        Refused(_llama31 with { OriginalMaxPositions = 0 }, "OriginalMaxPositions");
        Refused(_llama31 with { LowFrequencyFactor = 4 }, "HighFrequencyFactor");
        Refused(_qwen25 with { BetaFast = 0 }, "BetaFast");
        Refused(_qwen25 with { AttentionFactor = -1 }, "AttentionFactor");

        static void Refused(RopeOptions options, string name)
            => Assert.That(() => new RopeTable(options), Throws.InstanceOf<ArgumentException>().With.Message.Contains(name));
    }

    [Test]
    public void Fill_BadSpans_Refused()
    {
        RopeTable table = new(new RopeOptions { HeadDim = 8 });
        float[] x = new float[8], y = new float[8];
        Assert.That(() => table.Fill([1, 2, 3], x, y), Throws.ArgumentException.With.Message.Contains("at least 12"));
        Assert.That(() => table.Fill([1, 2], x, y.AsSpan(1)), Throws.ArgumentException.With.Message.Contains("at least 8"));
        Assert.That(() => table.Fill([1], x, x.AsSpan(2)), Throws.ArgumentException.With.Message.Contains("overlaps"));
        Assert.That(() => table.FillDelta(1, x.AsSpan(5), y), Throws.ArgumentException.With.Message.Contains("at least 4"));
    }

    private static void AssertFrequencies(RopeTable table, double[] expected)
    {
        Assert.That(table.Pairs, Is.EqualTo(expected.Length));
        for (int i = 0; i < expected.Length; i++) Assert.That(table.InverseFrequencies[i], Is.EqualTo(expected[i]).Within(1e-11).Percent, $"pair {i}");
    }
}
