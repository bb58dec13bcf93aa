using Equip.Model.Pruning;

namespace Equip.Tests.Pruning;

internal sealed class OnlineQuantileTests
{
    [Test]
    public void Picks_StartsAtTheSamplesQuantile()
    {
        OnlineQuantile quantile = new(0.25, 0.05, holds: true);
        foreach (double value in new[] { 4.0, 1, 3, 2, 5 }) quantile.Observe(value);
        Assert.That(quantile.Picks(4.5), Is.True, "the threshold is 4");
        Assert.That(quantile.Threshold, Is.EqualTo(4 + (0.05 * Math.Sqrt(2) * 0.75)).Within(1e-12));
        Assert.That(quantile.Picks(double.NaN), Is.False);
        Assert.That(quantile.Picks(4), Is.False);
        Assert.That(quantile.Threshold, Is.EqualTo(4 + (0.05 * Math.Sqrt(2) * 0.5)).Within(1e-12));
    }

    [TestCase(0.1)]
    [TestCase(0.5)]
    [TestCase(0.95)]
    public void Picks_DriftingStream_MeetsTheShare(double share)
    {
        // The mean climbs by four of the sample's deviations: a fixed threshold would let everything through.
        Random random = new(3);
        OnlineQuantile quantile = new(share, 0.05, holds: true);
        for (int i = 0; i < 400; i++) quantile.Observe(random.NextDouble());
        int above = 0;
        for (int i = 0; i < 4000; i++)
            if (quantile.Picks(random.NextDouble() + (i / 4000.0 * 4 * 0.29))) above++;
        Assert.That(above / 4000.0, Is.EqualTo(share).Within(0.02));
    }

    // From the 64th value on the share is met at every step, whatever the stream has to do with the sample.
    [Test]
    public void Picks_StreamUnlikeTheSample_MeetsTheShareFrom64On(
        [Values(0.1, 0.2, 0.3, 0.4, 0.5, 0.95)] double share,
        [Values("alike", "shifted", "scaled up", "scaled down", "outliers", "slow", "constant")] string stream)
    {
        Random random = new(5);
        OnlineQuantile quantile = new(share, 0.05, holds: true);
        for (int i = 0; i < 200; i++) quantile.Observe(stream == "outliers" && i % 50 == 0 ? 1000 : TestNormal(random));
        int picked = 0;
        double slow = 0;
        for (int i = 1; i <= 500; i++)
        {
            slow = (0.95 * slow) + (0.3 * TestNormal(random));
            double value = stream switch
            {
                "shifted" => TestNormal(random) - 10,
                "scaled up" => TestNormal(random) * 1000,
                "scaled down" => 1 + (TestNormal(random) * 1e-9),
                "outliers" => TestNormal(random) / (random.NextDouble() + 1e-6),
                "slow" => slow,
                "constant" => 0.7,
                _ => TestNormal(random),
            };
            if (quantile.Picks(value)) picked++;
            if (i >= 64) Assert.That((double)picked / i, Is.EqualTo(share).Within(0.02 + 1e-9), $"after {i} values");
        }
    }

    // Meeting the share is not enough: what is picked must be the largest.
    [Test]
    public void Picks_ShiftedAndScaledStream_PicksTheLargest([Values(0.1, 0.3, 0.5)] double share)
    {
        Random random = new(8);
        OnlineQuantile quantile = new(share, 0.05, holds: true);
        for (int i = 0; i < 200; i++) quantile.Observe(TestNormal(random));
        double[] values = [.. Enumerable.Range(0, 1000).Select(_ => 40 + (TestNormal(random) * 25))];
        double[] picked = [.. values.Where(quantile.Picks)];
        double best = values.OrderDescending().Take(picked.Length).Average(), mean = values.Average();
        Assert.That((picked.Average() - mean) / (best - mean), Is.GreaterThan(0.9));
    }

    private static double TestNormal(Random random) => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    [Test]
    public void Picks_FreeOfItsShare_FollowsTheThresholdAlone()
    {
        OnlineQuantile free = new(0.3, 0.05, holds: false), held = new(0.3, 0.05, holds: true);
        double[] sample = [.. Enumerable.Range(0, 11).Select(i => i / 10.0)];
        foreach (double value in sample)
        {
            free.Observe(value);
            held.Observe(value);
        }

        // tau = the 0.7 quantile, then tau += eta deviation ([s > tau] - 0.3): all of these are above it, which held takes to 0.3.
        double tau = 0.7, step = 0.05 * Math.Sqrt(0.1);
        int picked = 0;
        for (int i = 0; i < 20; i++)
        {
            Assert.That(free.Picks(2), Is.True);
            tau += step * 0.7;
            Assert.That(free.Threshold, Is.EqualTo(tau).Within(1e-12));
            picked += held.Picks(2) ? 1 : 0;
        }

        Assert.That(picked, Is.InRange(5, 7));
    }
}
