using Equip.Model;
using Equip.Model.Pruning;
using Equip.Tests.Safetensors;

namespace Equip.Tests.Pruning;

internal sealed class FilterScheduleTests
{
    private static readonly int[][] _tiers = [[1, 2], [3, 4, 5, 6], [0, 7]];

    [Test]
    public void Rates_Uniform_TheRatioEverywhere() => Expect(FilterSchedule.Uniform, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3);

    [Test]
    public void Rates_Tail_GrowsWithTheLayer() => Expect(FilterSchedule.Tail, 0.35, 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7);

    [Test]
    public void Rates_TailBeyondTheLargestRate_SpreadsTheExcessInProportion() =>
        Expect(FilterSchedule.Tail, 0.5, 0, 3.05 / 21, 6.1 / 21, 9.15 / 21, 12.2 / 21, 15.25 / 21, 18.3 / 21, 0.95);

    [Test]
    public void Rates_TailHalf_FallsShortBeyondHalf() => Expect(FilterSchedule.TailHalf, 0.5, 0, 0, 0, 0, 0.95, 0.95, 0.95, 0.95);

    [Test]
    public void Rates_Tiers_FillOneAfterTheOther() => Expect(FilterSchedule.Tiered("measured", _tiers), 0.3, 0, 0.95, 0.95, 0.125, 0.125, 0.125, 0.125, 0);

    [Test]
    public void Rates_TiersThatLeaveLayersOut_TakeThemLast() => Expect(FilterSchedule.Tiered("some", [[5]]), 0.15, 0.25 / 7, 0.25 / 7, 0.25 / 7, 0.25 / 7, 0.25 / 7, 0.95, 0.25 / 7, 0.25 / 7);

    [Test]
    public void Rates_Only_OneLayerAtTheWholeRate() => Expect(FilterSchedule.Only(2), 0.1, 0, 0, 0.8, 0, 0, 0, 0, 0);

    [Test]
    public void Rates_LayerTheModelHasNot_Throws() =>
        Assert.That(() => FilterSchedule.Only(8).Rates(8, 0.1), Throws.ArgumentException.With.Message.Contains("got layer 8, expected 0 to 7"));

    [Test]
    public void TiersOf_MeasuredDamage_LeastFirst() =>
        Assert.That(FilterSchedule.TiersOf("nats", [0.417, 0.0151, 0.0023, 0.1454, 0.1351, 0.1359, 0.1542, -0.01]), Is.EqualTo(new int[][] { [7, 2, 1], [4, 5, 3, 6], [0] }));

    [Test]
    public void Load_WhatJsonWrote_SameRates()
    {
        using TemporaryFolder folder = new();
        folder.Write("s.json", FilterSchedule.Json(_tiers));
        FilterSchedule loaded = FilterSchedule.Load(Path.Combine(folder.Path, "s.json"));
        Assert.That(loaded.Rates(8, 0.4), Is.EqualTo(FilterSchedule.Tiered("measured", _tiers).Rates(8, 0.4)));
    }

    [TestCase("{}", "missing, expected a list of lists of integers")]
    [TestCase("{\"tiers\": [1]}", "got 1, expected a list of lists")]
    [TestCase("{\"tiers\": [[-1]]}", "got -1")]
    [TestCase("{\"tiers\": [[1], [1]]}", "layer 1 is named twice")]
    [TestCase("[]", "expected an object")]
    public void Load_BadFile_SaysWhatWasExpected(string text, string problem)
    {
        using TemporaryFolder folder = new();
        folder.Write("s.json", text);
        Assert.That(() => FilterSchedule.Load(Path.Combine(folder.Path, "s.json")), Throws.TypeOf<ModelFormatException>().With.Message.Contains(problem));
    }

    private static void Expect(FilterSchedule schedule, double ratio, params double[] rates)
    {
        double[] found = schedule.Rates(8, ratio);
        Assert.That(found, Is.EqualTo(rates).Within(1e-9));
    }
}
