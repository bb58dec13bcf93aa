using Equip.Bench.Suite;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Model.Config;

namespace Equip.Tests.Bench;

/// <summary>The byte model against figures worked out by hand for LLaMA-2-7B and LLaMA-3-8B in 16 bits, four sinks.</summary>
internal sealed class TrafficModelTests
{
    private const int Sinks = 4;
    private const double Printed = 0.0025;

    [TestCase("llama-2-7b", 512, CacheUpdate.Functional, 79.69)]
    [TestCase("llama-2-7b", 512, CacheUpdate.Memmove, 33.42)]
    [TestCase("llama-2-7b", 512, CacheUpdate.FusedShift, 25.03)]
    [TestCase("llama-2-7b", 512, CacheUpdate.RingRotate, 16.73)]
    [TestCase("llama-2-7b", 512, CacheUpdate.InPlace, 8.40)]
    [TestCase("llama-2-7b", 4096, CacheUpdate.Functional, 637.53)]
    [TestCase("llama-2-7b", 4096, CacheUpdate.Memmove, 268.30)]
    [TestCase("llama-2-7b", 4096, CacheUpdate.FusedShift, 201.20)]
    [TestCase("llama-2-7b", 4096, CacheUpdate.RingRotate, 134.17)]
    [TestCase("llama-2-7b", 4096, CacheUpdate.InPlace, 67.13)]
    [TestCase("llama-3-8b", 1024, CacheUpdate.FunctionalRepeatKv, 73.40)]
    [TestCase("llama-3-8b", 1024, CacheUpdate.Memmove, 16.74)]
    [TestCase("llama-3-8b", 2048, CacheUpdate.FusedShift, 25.13)]
    [TestCase("llama-3-8b", 2048, CacheUpdate.RingRotate, 16.76)]
    [TestCase("llama-3-8b", 4096, CacheUpdate.InPlace, 16.78)]
    public void LayerBytes_SlidingWindow_AreThePrintedMegabytes(string shape, int window, CacheUpdate update, double megabytes)
        => Assert.That(Model(shape).LayerBytes(new CacheTraffic(update, window, window - Sinks)) / 1e6, Is.EqualTo(megabytes).Within(Printed * megabytes));

    [TestCase("llama-2-7b", 1024, CacheUpdate.Functional, 159.8)]
    [TestCase("llama-2-7b", 1024, CacheUpdate.Memmove, 67.5)]
    [TestCase("llama-2-7b", 1024, CacheUpdate.InPlace, 17.2)]
    [TestCase("llama-2-7b", 4096, CacheUpdate.Functional, 639.1)]
    [TestCase("llama-2-7b", 4096, CacheUpdate.InPlace, 68.7)]
    [TestCase("llama-3-8b", 1024, CacheUpdate.Functional, 39.9)]
    [TestCase("llama-3-8b", 1024, CacheUpdate.InPlace, 4.3)]
    public void LayerBytes_H2OFullShift_AreThePrintedMegabytes(string shape, int window, CacheUpdate update, double megabytes)
        => Assert.That(Model(shape).LayerBytes(new CacheTraffic(update, window, window, Scores: true)) / 1e6, Is.EqualTo(megabytes).Within(Printed * megabytes));

    // Over in place, weights of a layer and a layer's share of the output projection read once a step.
    [TestCase("llama-2-7b", 1, 512, 1.17, 1.06, 1.04, 1.02)]
    [TestCase("llama-2-7b", 1, 2048, 1.64, 1.23, 1.15, 1.08)]
    [TestCase("llama-2-7b", 8, 4096, 5.80, 2.69, 2.13, 1.56)]
    [TestCase("llama-3-8b", 1, 1024, 1.15, 1.03, 1.02, 1.01)]
    [TestCase("llama-3-8b", 8, 2048, 3.07, 1.37, 1.25, 1.12)]
    public void StepBytes_WithWeights_GiveThePrintedRatios(string shape, int sequences, int window, double functional, double memmove, double fused, double ring)
    {
        TrafficModel model = Model(shape);
        ModelConfig c = model.Config;
        long weights = 2 * ((c.Layers * ((2L * c.HiddenSize * c.HeadDim * (c.Heads + c.KvHeads)) + (3L * c.HiddenSize * c.IntermediateSize))) + ((long)c.VocabularySize * c.HiddenSize));

        // A has repeat_kv where there is a group.
        CacheUpdate[] updates = [c.Heads > c.KvHeads ? CacheUpdate.FunctionalRepeatKv : CacheUpdate.Functional, CacheUpdate.Memmove, CacheUpdate.FusedShift, CacheUpdate.RingRotate];
        double[] printed = [functional, memmove, fused, ring];
        double inPlace = model.StepBytes(new CacheTraffic(CacheUpdate.InPlace, window, 0), sequences, weights);
        for (int i = 0; i < updates.Length; i++)
            Assert.That(model.StepBytes(new CacheTraffic(updates[i], window, window - Sinks), sequences, weights) / inPlace, Is.EqualTo(printed[i]).Within(0.011), updates[i].ToString());
    }

    [Test]
    public void LayerBytes_OriginalPositions_RotateNothing()
    {
        TrafficModel model = Model("llama-3-8b");
        double Rows(CacheUpdate update) => model.LayerBytes(new CacheTraffic(update, 1000, 400, Rotates: false)) / model.RowBytes;
        Assert.That(Rows(CacheUpdate.Functional), Is.EqualTo(10_000));
        Assert.That(Rows(CacheUpdate.FunctionalRepeatKv), Is.EqualTo(26_000));
        Assert.That(Rows(CacheUpdate.Memmove), Is.EqualTo(3600));
        Assert.That(Rows(CacheUpdate.FusedShift), Is.EqualTo(3600));
        Assert.That(Rows(CacheUpdate.RingRotate), Is.EqualTo(2002));
    }

    private static TrafficModel Model(string shape) => new(ModelShape.Parse(shape).Config, DataType.F16);
}
