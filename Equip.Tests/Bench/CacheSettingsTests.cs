using System.CommandLine;
using Equip.Bench.CommandLine;
using Equip.Bench.Decode;
using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;

namespace Equip.Tests.Bench;

internal sealed class CacheSettingsTests
{
    [Test]
    public void Expand_NothingGiven_IsTheDefault() => Assert.That(Expand(""), Is.EqualTo(new[] { new CacheOptions() }));

    [Test]
    public void Expand_Lists_EveryCombinationButFullOnce()
    {
        IReadOnlyList<CacheOptions> caches = Expand("--policy full,streaming --budget 64-256*2 --sinks 0,4 --kv f32");
        Assert.That(caches, Has.Count.EqualTo(1 + (3 * 2)));
        Assert.That(caches[0], Is.EqualTo(new CacheOptions { KvType = DataType.F32 }));
        Assert.That(caches.Skip(1).Select(cache => (cache.Policy, cache.Budget, cache.Sinks)), Is.EqualTo(new[]
        {
            ("streaming", 64, 0), ("streaming", 64, 4), ("streaming", 128, 0), ("streaming", 128, 4), ("streaming", 256, 0), ("streaming", 256, 4),
        }));
    }

    [Test]
    public void Expand_RepeatedOption_AddsToTheList() =>
        Assert.That(string.Join(' ', Expand("--policy streaming --budget 64 --budget 64,128").Select(cache => cache.Budget)), Is.EqualTo("64 128"));

    [Test]
    public void Expand_EveryPolicy_IsTheTable() =>
        Assert.That(Expand("--policy all --budget 64").Select(cache => cache.Policy), Is.EqualTo(EvictionPolicies.Names));

    [Test]
    public void Expand_Ratio_IsKeptUntilAPromptIsKnown()
    {
        CacheOptions cache = Expand("--policy full,snapkv --ratio 0.25,1").Where(cache => cache.Ratio == 0.25).Single();
        Assert.That(cache.Policy, Is.EqualTo("snapkv"));
        Assert.That(cache.ForPrompt(1801), Is.EqualTo(cache with { Budget = 450, Ratio = 0 }));
        Assert.That(cache.ForPrompt(1).Budget, Is.EqualTo(1));
        Assert.That(() => (cache with { Ratio = 1.5 }).ForPrompt(10), Throws.ArgumentException.With.Message.Contains("ratio: got 1.5"));
    }

    [TestCase("policy", null)]
    [TestCase("cache", PositionScheme.Cache)]
    [TestCase("CACHE:two-query", PositionScheme.CacheTwoQuery)]
    [TestCase("original", PositionScheme.Original)]
    public void Expand_Positions_ByName(string name, PositionScheme? expected) =>
        Assert.That(Expand($"--policy streaming --positions {name}").Single().Positions, Is.EqualTo(expected));

    [Test]
    public void Names_EveryValue_ComesBackFromItsName()
    {
        foreach (CacheUpdate update in Enum.GetValues<CacheUpdate>()) Assert.That(CacheSettings.Updates.Parse(CacheSettings.Updates.NameOf(update)), Is.EqualTo(update));
        foreach (PositionScheme scheme in Enum.GetValues<PositionScheme>()) Assert.That(CacheSettings.Positions.Parse(CacheSettings.Positions.NameOf(scheme)), Is.EqualTo(scheme));
    }

    [Test]
    public void Combine_PromptsGenerationsDepths_FullCrossProductWithLlamaBenchLabels()
    {
        IReadOnlyList<DecodeTest> tests = DecodeCommand.Combine([new CacheOptions(), new CacheOptions { Policy = "streaming" }], [512, 0], [128], [0, 2048]);
        Assert.That(string.Join(", ", tests.Select(test => $"{test.Label} {test.Cache.Policy}")), Is.EqualTo(
            "pp512 full, pp512 streaming, tg128 full, tg128 streaming, " +
            "pp512 @ d2048 full, pp512 @ d2048 streaming, tg128 @ d2048 full, tg128 @ d2048 streaming"));
    }

    private static IReadOnlyList<CacheOptions> Expand(string line)
    {
        CacheSettings settings = new();
        Command command = new("test");
        foreach (Option option in settings.All) command.Options.Add(option);
        ParseResult parsed = command.Parse(line);
        Assert.That(parsed.Errors, Is.Empty);
        return settings.Expand(parsed);
    }
}
