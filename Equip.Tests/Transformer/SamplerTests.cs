using Equip.Model.Config;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Transformer;

internal sealed class SamplerTests
{
    private const float NegativeInfinity = float.NegativeInfinity;

    [TestCase(new float[] { 1, 3, 2 }, 1)]
    [TestCase(new float[] { 3, 1, 3 }, 0, Description = "a tie goes to the lower id")]
    [TestCase(new float[] { float.NaN, -5, float.NaN, -4 }, 3)]
    [TestCase(new float[] { NegativeInfinity, float.MinValue }, 1)]
    [TestCase(new float[] { 1, float.PositiveInfinity, float.PositiveInfinity }, 1)]
    [TestCase(new float[] { -0f, 0f }, 0)]
    public void Sample_Temperature0_LargestLogit(float[] logits, int expected)
    {
        Assert.That(new Sampler().Sample(logits), Is.EqualTo(expected));
        Assert.That(new Sampler(temperature: 1, topK: 1).Sample(logits), Is.EqualTo(expected), "top-k 1");
        Assert.That(new Sampler(temperature: 1, topP: 0).Sample(logits), Is.EqualTo(expected), "top-p 0");
    }

    [TestCase(new float[0])]
    [TestCase(new float[] { float.NaN })]
    [TestCase(new float[] { NegativeInfinity, float.NaN, NegativeInfinity })]
    public void Sample_NothingToChoose_Throws(float[] logits)
    {
        Assert.That(() => new Sampler().Sample(logits), Throws.ArgumentException.With.Message.Contains("none of"));
        Assert.That(() => new Sampler(temperature: 1).Sample(logits), Throws.ArgumentException.With.Message.Contains("none of"));
    }

    [TestCase(-1f, 0, 1f)]
    [TestCase(float.NaN, 0, 1f)]
    [TestCase(float.PositiveInfinity, 0, 1f)]
    [TestCase(1f, -1, 1f)]
    [TestCase(1f, 0, -0.1f)]
    [TestCase(1f, 0, 1.1f)]
    [TestCase(1f, 0, float.NaN)]
    public void Constructor_ParameterOutOfRange_Throws(float temperature, int topK, float topP) =>
        Assert.That(() => new Sampler(temperature, topK, topP), Throws.TypeOf<ArgumentOutOfRangeException>());

    // temperature, top-k, top-p, and which of the logits below may then be drawn.
    [TestCase(1f, 0, 1f, "0 1 2 3 5 6")]
    [TestCase(0.5f, 0, 1f, "0 1 2 3 5 6")]
    [TestCase(2f, 0, 1f, "0 1 2 3 5 6")]
    [TestCase(1f, 3, 1f, "1 3 6", Description = "of 3 and 5, which tie, the lower id")]
    [TestCase(1f, 100, 1f, "0 1 2 3 5 6")]
    [TestCase(1f, 0, 0.6f, "1 6")]
    [TestCase(1f, 0, 0.35f, "1")]
    [TestCase(3f, 0, 0.6f, "1 3 6", Description = "top-p looks at the tempered distribution")]
    [TestCase(1f, 4, 0.8f, "1 3 6", Description = "top-p looks at what top-k left")]
    public void Sample_ManyTimes_FollowsTheDistribution(float temperature, int topK, float topP, string allowed)
    {
        float[] logits = [0.5f, 2.5f, -1f, 1.2f, float.NaN, 1.2f, 2f, NegativeInfinity];
        int[] ids = [.. allowed.Split(' ').Select(int.Parse)];
        double[] weights = [.. logits.Select((logit, id) => ids.Contains(id) ? Math.Exp(logit / temperature) : 0)];
        const int Draws = 40_000;
        int[] counts = new int[logits.Length];
        Sampler sampler = new(temperature, topK, topP, seed: 99);
        for (int i = 0; i < Draws; i++) counts[sampler.Sample(logits)]++;

        double chiSquare = 0;
        for (int id = 0; id < logits.Length; id++)
        {
            double expected = Draws * weights[id] / weights.Sum();
            if (expected == 0) Assert.That(counts[id], Is.Zero, $"token {id}");
            else chiSquare += (counts[id] - expected) * (counts[id] - expected) / expected;
        }

        // The 99.9 % point for 5 degrees of freedom is 20.5; the seed is fixed.
        Assert.That(chiSquare, Is.LessThan(20.5));
    }

    [Test]
    public void Sample_TopKAndTopP_AgreeWithSorting()
    {
        Random random = new(3);
        for (int round = 0; round < 300; round++)
        {
            // Coarse values, so that there are ties.
            float[] logits = [.. Enumerable.Range(0, random.Next(1, 60)).Select(_ => (float)Math.Round(random.NextDouble() * 12) / 2)];
            int topK = random.Next(0, logits.Length + 2);
            float topP = random.Next(3) == 0 ? 1 : random.NextSingle();
            int[] order = [.. Enumerable.Range(0, logits.Length).OrderByDescending(id => logits[id]).ThenBy(id => id)];
            if (topK > 0) order = [.. order.Take(topK)];
            double total = order.Sum(id => Math.Exp(logits[id])), mass = 0;
            HashSet<int> allowed = [.. order.TakeWhile(id =>
            {
                bool isIn = mass == 0 || mass < (topP - 1e-9) * total;
                mass += Math.Exp(logits[id]);
                return isIn;
            })];
            Sampler sampler = new(1, topK, topP, (ulong)round);
            HashSet<int> seen = [];
            for (int i = 0; i < 60; i++) seen.Add(sampler.Sample(logits));
            Assert.That(seen, Is.SubsetOf(allowed), $"round {round}: {logits.Length} logits, top-k {topK}, top-p {topP}");
        }
    }

    [Test]
    public void Sample_SameSeed_SameTokens_OtherSeedOthers()
    {
        float[] logits = TestData.Random(1000);
        int[] Draw(ulong seed)
        {
            Sampler sampler = new(1.5f, 50, 0.95f, seed);
            return [.. Enumerable.Range(0, 100).Select(_ => sampler.Sample(logits))];
        }

        int[] first = Draw(7), second = Draw(7);
        Assert.That(second, Is.EqualTo(first));
        Assert.That(Draw(8), Is.Not.EqualTo(first));
    }

    [Test]
    public void Sample_OnceWarm_AllocatesNothing()
    {
        float[] logits = TestData.Random(5000);
        Sampler[] samplers = [new(), new(1), new(1, 40), new(1, 0, 0.9f), new(1, 40, 0.9f)];
        Allocations.AssertNone(() =>
        {
            foreach (Sampler sampler in samplers) sampler.Sample(logits);
        });
    }

    [TestCase(1e-30f)]
    [TestCase(float.Epsilon)]
    public void Sample_TinyTemperature_IsGreedy(float temperature)
    {
        Sampler sampler = new(temperature, seed: 5);
        for (int i = 0; i < 100; i++) Assert.That(sampler.Sample([1f, 2f, 1.9999f]), Is.EqualTo(1));
    }

    [Test]
    public void Sample_HugeTemperature_ReachesEveryToken()
    {
        Sampler sampler = new(float.MaxValue, seed: 5);
        Assert.That(Enumerable.Range(0, 500).Select(_ => sampler.Sample([-1000f, 0f, 1000f])).Distinct().Order(), Is.EqualTo((int[])[0, 1, 2]));
    }

    // The first numbers of SplitMix64 for this seed, as its authors' reference code gives them.
    [Test]
    public void NextRandom_KnownSeed_KnownNumbers()
    {
        Sampler sampler = new(seed: 1234567);
        ulong[] numbers = [sampler.NextRandom(), sampler.NextRandom(), sampler.NextRandom()];
        Assert.That(numbers, Is.EqualTo((ulong[])[6457827717110365317, 3203168211198807973, 9817491932198370423]));
    }

    [Test]
    public void Exp_UpToZero_WithinTwoUnitsInTheLastPlace()
    {
        for (double x = 0; x > -690; x -= 0.0137)
            Assert.That(Sampler.Exp(x), Is.EqualTo(Math.Exp(x)).Within(2).Ulps, $"e^{x}");
        Assert.That(Sampler.Exp(-701), Is.Zero);
        Assert.That(Sampler.Exp(double.NegativeInfinity), Is.Zero);
        Assert.That(Sampler.Exp(0), Is.EqualTo(1));
    }

    [Test]
    public void FromConfig_GreedyUnlessItSamples()
    {
        float[] logits = [1, 1.1f, 1, 1];
        GenerationConfig config = new() { Temperature = 100, TopK = 3 };
        Sampler greedy = Sampler.FromConfig(config), sampling = Sampler.FromConfig(config with { DoSample = true });
        Assert.That(Enumerable.Range(0, 50).Select(_ => greedy.Sample(logits)).Distinct(), Is.EqualTo((int[])[1]));
        Assert.That(Enumerable.Range(0, 200).Select(_ => sampling.Sample(logits)).Distinct().Order(), Is.EqualTo((int[])[0, 1, 2]));
    }
}
