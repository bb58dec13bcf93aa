using Equip.Kernels.Eviction;

namespace Equip.Tests.Eviction;

internal sealed class RowSelectionTests
{
    private static readonly float[] _scores =
    [
        1, 9, 3, 8, 7,
        2, float.NaN, 2, 0, 1,
    ];

    [Test]
    public void OfHeads_TiesAndNaN_LowerRowFirstNaNLast()
    {
        Assert.That(RowSelection.OfHeads(_scores, 2, 2), Is.EqualTo(new int[][] { [1, 3], [0, 2] }));
        Assert.That(RowSelection.OfHeads(_scores, 2, 4)[1], Does.Not.Contain(1).And.Length.EqualTo(4));
    }

    [TestCase(0, new[] { 1, 2, 3, 4 }, new int[0])]
    [TestCase(1, new[] { 1, 3, 4 }, new[] { 0 })]
    [TestCase(2, new[] { 1, 3 }, new[] { 0, 2 })]
    public void OfLayer_Floor_KeepsThatManyOfEachHead(int floor, int[] first, int[] second)
        => Assert.That(RowSelection.OfLayer(_scores, 2, 2, floor), Is.EqualTo(new[] { first, second }));

    [Test]
    public void DivideBySum_NonFiniteScores_AreLeftOutOfTheSum()
    {
        float[] scores = [1, float.NaN, 3, float.PositiveInfinity];
        RowSelection.DivideBySum(scores);
        Assert.That(scores, Is.EqualTo(new[] { 0.25f, float.NaN, 0.75f, float.PositiveInfinity }));
        float[] zeros = [0, 0];
        RowSelection.DivideBySum(zeros);
        Assert.That(zeros, Is.EqualTo(new float[] { 0, 0 }));
    }

    [Test]
    public void PyramidShare_AnyShape_FallsAndAddsUpToTheBudget([Values(1, 2, 7, 8, 33)] int layers, [Values(1, 10, 96, 97, 480)] int even)
    {
        int[] shares = [.. Enumerable.Range(0, layers).Select(layer => PyramidKvPolicy.Share(even, layer, layers))];
        Assert.That(shares.Sum(), Is.EqualTo(even * layers));
        Assert.That(shares, Is.Ordered.Descending);
        Assert.That(shares, Has.All.GreaterThanOrEqualTo(0));
    }
}
