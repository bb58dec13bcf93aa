using Equip.Model.Pruning;

namespace Equip.Tests.Pruning;

internal sealed class OnlineQuantileTests
{
    [Test]
    public void Exceeds_StartsAtTheSamplesQuantile()
    {
        OnlineQuantile quantile = new(0.25, 0.05);
        foreach (double value in new[] { 4.0, 1, 3, 2, 5 }) quantile.Observe(value);
        Assert.That(quantile.Exceeds(4.5), Is.True, "the threshold is 4");
        Assert.That(quantile.Threshold, Is.EqualTo(4 + (0.05 * Math.Sqrt(2) * 0.75)).Within(1e-12));
        Assert.That(quantile.Exceeds(double.NaN), Is.False);
        Assert.That(quantile.Exceeds(4), Is.False);
        Assert.That(quantile.Threshold, Is.EqualTo(4 + (0.05 * Math.Sqrt(2) * 0.5)).Within(1e-12));
    }

    [TestCase(0.1)]
    [TestCase(0.5)]
    [TestCase(0.95)]
    public void Exceeds_DriftingStream_MeetsTheShare(double share)
    {
        // The mean climbs by four of the sample's deviations: a fixed threshold would let everything through.
        Random random = new(3);
        OnlineQuantile quantile = new(share, 0.05);
        for (int i = 0; i < 400; i++) quantile.Observe(random.NextDouble());
        int above = 0;
        for (int i = 0; i < 4000; i++)
            if (quantile.Exceeds(random.NextDouble() + (i / 4000.0 * 4 * 0.29))) above++;
        Assert.That(above / 4000.0, Is.EqualTo(share).Within(0.02));
    }
}
