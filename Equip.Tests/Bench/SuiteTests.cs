using System.Text.Json.Nodes;
using Equip.Bench.Decode;
using Equip.Bench.Suite;
using Equip.Model.Config;
using Equip.Tests.Safetensors;

namespace Equip.Tests.Bench;

internal sealed class SuiteTests
{
    private const int Budget = 16, Context = 64, Rows = 14, Means = 18;
    private const string Line = "decode --suite equip --quick --shape 64x2x4x2x96 --budget 16 --sequences 2 -d 64 -t 2 -o ";

    private static readonly string[] _parts = ["step", "cache"];
    private static readonly Lazy<TemporaryFolder> _folder = new(() => new TemporaryFolder());

    [OneTimeTearDown]
    public void DeleteFolder()
    {
        if (_folder.IsValueCreated) _folder.Value.Dispose();
    }

    [Test]
    public void Suite_TinyShape_ComparesEveryBaselineAndEndsBlocksWithMeans()
    {
        JsonArray rows = JsonNode.Parse(Run("json"))!.AsArray();
        Assert.That(rows, Has.Count.EqualTo(Rows + Means));
        string[] baselines = ["A functional", "A repeat_kv", "B memmove", "C fused shift", "D ring rotate"];
        Assert.That(Over(rows, SuitePlan.Streaming), Is.EqualTo(baselines));
        Assert.That(Over(rows, SuitePlan.H2O), Is.EqualTo(baselines[..3]));
        Assert.That(Over(rows, SuitePlan.H2OCache), Is.EqualTo(baselines));
        Assert.That(Over(rows, SuitePlan.Paged).Single(), Is.EqualTo("full cache"));
        foreach (JsonNode? row in rows)
        {
            foreach (string part in _parts)
            {
                Assert.That(Number(row, part + "_times"), Is.GreaterThan(0));
                Assert.That(Number(row, part + "_reached"), Is.EqualTo(Number(row, part + "_times") / Number(row, part + "_predicted")).Within(1e-9));
            }

            if (row!["layers"] is null) continue;
            Assert.That(Number(row, "cache_in_place_ms"), Is.GreaterThan(0).And.LessThan(Number(row, "step_in_place_ms")));
            Assert.That(Number(row, "cache_over_ms"), Is.GreaterThan(0).And.LessThan(Number(row, "step_over_ms")));
            Assert.That(Number(row, "step_predicted"), Is.GreaterThan(1).And.LessThan(Number(row, "cache_predicted")));
        }

        double inPlace = (2 * Budget) + 2;
        Assert.That(Number(rows[0], "cache_predicted"), Is.EqualTo(19 * Budget / inPlace).Within(1e-9));
        Assert.That(Number(rows[1], "cache_predicted"), Is.EqualTo(27 * Budget / inPlace).Within(1e-9));
        Assert.That(rows.Last(row => row!["block"]!.GetValue<string>() == SuitePlan.Paged && row["layers"] is not null)!["cache_predicted"]!.GetValue<double>(), Is.EqualTo(((2 * Context) + 2) / inPlace).Within(1e-9));
    }

    [Test]
    public void Suite_Resumed_MeasuresNothingAgain()
    {
        string measured = Run("json");
        Assert.That(Run("json"), Is.EqualTo(measured));
    }

    [TestCase("md", "| streaming", 5 + 6)]
    [TestCase("csv", "\nstreaming,", 5 + 6)]
    [TestCase("jsonl", "{\"block\"", Rows + Means)]
    [TestCase("sql", "INSERT INTO \"equip\"", Rows + Means)]
    [TestCase("html", "<svg ", 2 * (Rows + Means))]
    public void Suite_EachFormat_CarriesTheRows(string format, string mark, int count)
    {
        string text = Run(format);
        int found = text.Split(mark).Length - 1;
        Assert.That(found, Is.EqualTo(count), text);
        if (format == "html") Assert.That(text, Does.Not.Contain("<script").And.Not.Contain("http"));
    }

    [Test]
    public void Resume_BrokenFile_IsNamed()
    {
        string file = Path.Combine(_folder.Value.Path, "broken.jsonl");
        File.WriteAllText(file, "{\"Block\": 3}\n");
        (int exit, string output, string error) = CliTests.Invoke($"decode --suite equip --quick --resume {file}".Split(' '));
        Assert.That((exit, output), Is.EqualTo((2, "")));
        Assert.That(error, Does.Contain("--resume: line 1 is not a row of the suite"));
    }

    [Test]
    public void Cells_ShapeThatDoesNotFit_RunsOnFewerLayersWithAsMuchVocabulary()
    {
        SuitePlan plan = new() { Blocks = [SuitePlan.Streaming], Budgets = [512, 4096], Sequences = [8], Shapes = [ModelShape.Parse("llama-2-7b:4")] };
        ModelConfig small = plan.Cells[0].Config, large = plan.Cells[1].Config;
        Assert.That((small.Layers, small.VocabularySize), Is.EqualTo((4, 4000)));
        Assert.That(large.Layers, Is.InRange(1, 3));
        Assert.That(large.VocabularySize, Is.EqualTo(1000 * large.Layers));
        Assert.That(plan.Cells[0].Key, Is.Not.EqualTo(plan.Cells[1].Key));
    }

    [Test]
    public void WithMeans_HandMadeRows_GeometricPerBlockAndBaseline()
    {
        SuiteRow[] rows = [Row("A functional", 512, 2, published: true), Row("A functional", 2048, 8, published: true), Row("D ring rotate", 2048, 1.5, published: false)];
        IReadOnlyList<SuiteRow> all = SuiteSummary.WithMeans(rows);
        Assert.That(all.Take(3), Is.EqualTo(rows));
        Assert.That(
            all.Skip(3).Select(row => (row.Shape, row.Over, row.Count, Math.Round(row.Step.Times, 9), Math.Round(row.Cache.Times, 9), Math.Round(row.Cache.Predicted, 9))),
            Is.EqualTo(new (string, string, int?, double, double, double)[]
            {
                ("geomean", "A functional", 2, 4, 8, 10),
                ("geomean", "D ring rotate", 1, 1.5, 3, 10),
                ("geomean", "published form", 2, 4, 8, 10),
                ("geomean, MHA, W >= 1024", "A functional", 1, 8, 16, 10),
                ("geomean, MHA, W >= 1024", "D ring rotate", 1, 1.5, 3, 10),
            }));
    }

    [Test]
    public void Goal_MeansAndCosts_SayWhetherTheyAreMet()
    {
        SuiteRow[] rows = [Row("A functional", 512, 2, published: true), Row("A functional", 2048, 8, published: true), Row("B memmove", 2048, 1.4, published: false)];
        IReadOnlyList<SuiteRow> all = SuiteSummary.WithMeans(rows);
        Assert.That(all.Take(3).Select(row => row.Note), Has.All.Null);
        Assert.That(Note("geomean", "A functional"), Is.EqualTo("0.85 of the bytes' ratio or more: step 1, attention+cache 1 of 2"));
        Assert.That(Note("geomean", "published form"), Does.EndWith("; asked: step at least 1.620: met"));
        Assert.That(Note(SuiteGoal.MultiHead, "A functional"), Does.EndWith("; asked: attention+cache at least 7.000: met"));
        Assert.That(Note(SuiteGoal.MultiHead, "B memmove"), Does.EndWith("; asked: attention+cache at least 3.000: not met"));
        SuiteRow cost = Row("streaming over a full cache of the same fill", 512, 1.01, published: false) with { Block = SuitePlan.Cost, EvictionShare = 0.011 };
        Assert.That(SuiteSummary.WithMeans([cost])[0].Note, Is.EqualTo("asked: step at most 1.020: met; asked: eviction at most 0.01000: not met"));

        string? Note(string shape, string over) => all.Single(row => row.Shape == shape && row.Over == over).Note;
    }

    [Test]
    public void Cost_TinyShape_ComparesAtEqualFill()
    {
        (int exit, string output, string error) = CliTests.Invoke("decode --suite cost --quick --shape 64x2x4x2x96 --budget 64 -t 2 -o json".Split(' '));
        Assert.That(exit, Is.Zero, error);
        JsonArray rows = JsonNode.Parse(output)!.AsArray();
        Assert.That(rows, Has.Count.EqualTo(2 * 3));
        foreach (JsonNode? row in rows)
        {
            // Scores are 12 bytes a slot; all else is read equally often.
            Assert.That(Number(row, "cache_predicted"), Is.EqualTo(row!["over"]!.GetValue<string>().StartsWith("h2o", StringComparison.Ordinal) ? ((2 * 65) + 2 + (12 * 65 / 32.0)) / ((2 * 64) + 2) : 1).Within(1e-9));
            Assert.That(Number(row, "eviction_share"), Is.GreaterThan(0).And.LessThan(1));
            Assert.That(Number(row, "step_times"), Is.GreaterThan(0));
        }
    }

    [Test]
    public void Cause_RatioOnlyWhereItIsMissed()
    {
        SuiteRow fine = Row("B memmove", 512, 4, published: false) with { InPlaceRate = 20e9, ExtraRate = 20e9, MemoryRate = 20e9, Cache = new SuiteRatio(1, 4, 4, 4), Step = new SuiteRatio(2, 5, 2.5, 2.5) };
        Assert.That(SuiteCause.Name(fine, 1 << 20), Is.Null);
        SuiteRow cached = fine with { ExtraRate = 60e9, Cache = new SuiteRatio(1, 2, 2, 4) };
        Assert.That(SuiteCause.Name(cached, 1 << 20), Does.Contain("60.00 GB/s").And.Contain("1.0 MiB"));
        SuiteRow slow = fine with { InPlaceRate = 5e9, Cache = new SuiteRatio(1, 2, 2, 4) };
        Assert.That(SuiteCause.Name(slow, 1 << 20), Does.StartWith("attention does 5.000 GB/s where memory reads 20.00 GB/s"));
        SuiteRow asFast = slow with { Block = SuitePlan.H2OCache, ExtraRate = 900e9, Cache = new SuiteRatio(1, 1.05, 1.05, 2) };
        Assert.That(SuiteCause.Name(asFast, 1 << 20), Does.Contain("rotated as they are read").And.Not.Contain("extra"));
        Assert.That(SuiteCause.Name(fine with { Step = new SuiteRatio(4, 5, 1.25, 2.5) }, 1 << 20), Does.Contain("rest of the step takes 3.000 ms"));
    }

    [Test]
    public void Statistics_MedianAndGeometricMean()
    {
        Assert.That(Statistics.Median([5, 1, 3]), Is.EqualTo(3));
        Assert.That(Statistics.Median([5, 1, 3, 4]), Is.EqualTo(3.5));
        Assert.That(Statistics.GeometricMean([2, 8, 0.5]), Is.EqualTo(2).Within(1e-12));
    }

    private static SuiteRow Row(string over, int budget, double times, bool published) => new()
    {
        Cell = $"{over} {budget}",
        Block = SuitePlan.Streaming,
        Shape = "llama-160m",
        MultiHead = true,
        Budget = budget,
        Over = over,
        Published = published,
        Step = new SuiteRatio(1, times, times, 5),
        Cache = new SuiteRatio(1, 2 * times, 2 * times, 10),
        KvType = "bf16",
        Weights = "bf16",
        Isa = "avx2",
        Threads = 2,
        Run = "test",
    };

    private static double Number(JsonNode? row, string field) => row![field]!.GetValue<double>();

    private static IEnumerable<string> Over(JsonArray rows, string block)
        => rows.Where(row => row!["block"]!.GetValue<string>() == block && row["layers"] is not null).Select(row => row!["over"]!.GetValue<string>());

    /// <summary>The suite, measured once and read from the file by all tests.</summary>
    private static string Run(string format)
    {
        (int exit, string output, string error) = CliTests.Invoke([.. (Line + format).Split(' '), "--resume", Path.Combine(_folder.Value.Path, "suite.jsonl")]);
        Assert.That(exit, Is.Zero, error);
        return output;
    }
}
