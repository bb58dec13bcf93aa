using System.Text.Json;
using System.Text.Json.Nodes;
using Equip.Bench.CommandLine;
using Equip.Bench.Eval;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Bench;

/// <summary>Sweeps of eval: many caches, several processes, stopped and taken up again.</summary>
internal sealed class EvalSweepTests
{
    private string _folder = "";

    [SetUp]
    public void MakeFolder() => _folder = Directory.CreateTempSubdirectory("equip-eval-").FullName;

    [TearDown]
    public void RemoveFolder() => Directory.Delete(_folder, recursive: true);

    [Test]
    public void Measure_FirstFacts_AnswersAreThoseOfTheReference()
    {
        JsonElement[] rows = [.. JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Fixtures", "retrieval.json"))).RootElement.GetProperty("facts").EnumerateArray()];
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        IReadOnlyList<RetrievalCase> cases = RetrievalCase.Read(Golden.Model, EvalData.PathOf(EvalData.Facts), rows[0].GetProperty("right").GetString()!.Length);
        Retrieval[] results = Retrieval.Measure(executor, [.. rows.Select(Options)], cases, 1, _ => { }, CancellationToken.None);
        Assert.That(
            results.Zip(rows, (result, row) => $"{row.GetProperty("name")} {row.GetProperty("budget")}: {result.Right}"),
            Is.EqualTo(rows.Select(row => $"{row.GetProperty("name")} {row.GetProperty("budget")}: {row.GetProperty("right")}")));

        static CacheOptions Options(JsonElement row)
        {
            string Text(string name) => row.TryGetProperty(name, out JsonElement value) ? value.ToString() : "policy";
            return new CacheOptions
            {
                Policy = Text("policy"),
                Budget = row.GetProperty("budget").GetInt32(),
                PoolMode = CacheSettings.PoolModes.Parse(Text("pool")),
                PoolKernel = row.TryGetProperty("pool_kernel", out JsonElement kernel) ? kernel.GetInt32() : 0,
                Reading = CacheSettings.Readings.Parse(Text("reading")),
                Reduction = CacheSettings.Reductions.Parse(Text("reduction")),
                Allocation = CacheSettings.Allocations.Parse(Text("allocation")),
                KvType = DataType.F32,
            };
        }
    }

    [Test]
    public void Eval_ShardsAndAStop_GiveTheRowsOfOneRun()
    {
        const string Sweep = "eval facts --cases 1 --policy full,h2o,snapkv,laprox --budget 40,64 -t 1 -o jsonl";
        JsonObject[] whole = Rows(Sweep);
        Assert.That(string.Join(", ", whole.Select(row => $"{row["policy"]} {row["budget"]}")), Is.EqualTo("full , h2o 40, h2o 64, snapkv 40, snapkv 64, laprox 40, laprox 64"));
        string[] files = [.. Enumerable.Range(1, 2).Select(shard => Path.Combine(_folder, $"{shard}.jsonl"))];
        for (int shard = 1; shard <= 2; shard++) _ = Rows($"{Sweep} --shard {shard}/2 --out {files[shard - 1]}");
        Assert.That(string.Join(' ', files.Select(file => File.ReadAllLines(file).Length)), Is.EqualTo("4 3"));

        // The second file is cut in its last row, and both are one; what is whole is not measured again.
        string all = Path.Combine(_folder, "all.jsonl"), second = File.ReadAllText(files[1]);
        File.WriteAllText(all, File.ReadAllText(files[0]) + second[..^30]);
        (int exit, string output, string error) = CliTests.Invoke([.. Sweep.Split(' '), "--out", all]);
        Assert.That(exit, Is.Zero, error);
        Assert.That(error, Does.Contain("the last line was cut short").And.Contain("6 of 7 rows"));
        JsonObject[] rows = [.. Lines(output)];
        Assert.That(rows.Select(Measured), Is.EqualTo(whole.Select(Measured)));
        Assert.That(File.ReadAllLines(all), Has.Length.EqualTo(7));
        Assert.That(CliTests.Invoke([.. Sweep.Split(' '), "--out", all]).Error, Does.Contain("7 of 7 rows"));

        (_, string table, _) = CliTests.Invoke("eval", "report", files[0], files[1]);
        Assert.That(table, Does.Contain("facts 40").And.Contain("facts 64").And.Contain("| laprox"));
        Assert.That(table.Split('\n').Count(line => line.StartsWith('|')), Is.EqualTo(2 + 4));
        (_, string page, _) = CliTests.Invoke("eval", "report", all, "-o", "html");
        Assert.That(page, Does.Contain("<polyline").And.Contain("<li>").And.Contain("laprox"));
        Assert.That(Lines(CliTests.Invoke("eval", "report", all, "-o", "jsonl").Output), Has.Exactly(7).Items);
        Assert.That(CliTests.Invoke("eval", "report", Path.Combine(_folder, "none.jsonl")).Exit, Is.EqualTo(1));

        static string Measured(JsonObject row) => $"{EvalRow.KeyOf(row)} {row["right"]} {row["by_distance"]!.ToJsonString()} {row["kv_bytes"]}";
    }

    [Test]
    public void Report_Channels_DrawsPerplexityOverBytes()
    {
        string file = Path.Combine(_folder, "channels.jsonl");
        File.WriteAllLines(
            file,
            [
                """{"task":"perplexity","policy":"full","perplexity":20}""",
                """{"task":"perplexity","policy":"full","channels":"pop","channel_ratio":0.2,"pop_gamma":0.1,"ffn_byte_share":0.8,"perplexity":50}""",
                """{"task":"perplexity","policy":"full","channels":"pop","channel_ratio":0.4,"pop_gamma":0.1,"ffn_byte_share":0.6,"perplexity":200}""",
                """{"task":"perplexity","policy":"full","channels":"gate-first","channel_ratio":0.55,"ffn_byte_share":0.7,"perplexity":100}""",
            ]);
        (int exit, string page, string error) = CliTests.Invoke("eval", "report", file, "-o", "html");
        Assert.That(exit, Is.Zero, error);

        // The axes go from 60 to 100 % (76 to 724) and, in equal ratios, from 20 to 200 (356 to 12).
        Assert.That(page, Does.Contain("points=\"76,12 400,219.1\"").And.Contain("points=\"238,115.6\"").And.Contain("points=\"76,356 724,356\""));
        Assert.That(page, Does.Contain("<title>pop, gamma 0.1, 0.4 of the channels left out, 60 % of the bytes: 200").And.Contain("</svg> no channel left out</li>"));
    }

    [Test]
    public void Eval_Ratio_GivesEveryPromptItsBudgetAndPrintsBoth()
    {
        JsonObject ratio = Rows("eval passkey --cases 1 --policy snapkv --ratio 0.05 -o jsonl").Single(), budget = Rows("eval passkey --cases 1 --policy snapkv --budget 90 -o jsonl").Single();
        Assert.That(ratio["budget"]!.GetValue<int>(), Is.EqualTo(90));
        Assert.That(ratio["ratio"]!.GetValue<double>(), Is.EqualTo(0.05));
        Assert.That(EvalRow.KeyOf(budget), Is.EqualTo(EvalRow.KeyOf(ratio)));
        Assert.That(budget["right"]!.GetValue<string>(), Is.EqualTo(ratio["right"]!.GetValue<string>()));
        Assert.That(ratio["kv_percent_of_full"]!.GetValue<double>(), Is.EqualTo(100.0 * 96 / 1800).Within(1e-9), "90 tokens in pages of 32");
    }

    [Test]
    public void LaProxAblation_EveryBudget_ValueTermsTimesAllocationsAndTheSum()
    {
        Assert.That(EvalSuites.Names.Parse("none"), Is.Null);
        CacheOptions[] asked = [new(), new() { Policy = "streaming", Budget = 64 }, new() { Policy = "streaming", Budget = 128 }];
        CacheOptions[] caches = [.. EvalSuites.Names.Parse("laprox-ablation")!(asked)];
        Assert.That(caches, Is.Unique.And.Length.EqualTo(2 * 13));
        Assert.That(caches, Has.All.Matches<CacheOptions>(cache => cache is { Policy: "laprox", PoolKernel: 7, PoolMode: PoolMode.Average }));
    }

    private static JsonObject[] Rows(string line)
    {
        (int exit, string output, string error) = CliTests.Invoke(line.Split(' '));
        Assert.That(exit, Is.Zero, error);
        return [.. Lines(output)];
    }

    private static IEnumerable<JsonObject> Lines(string output) => output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonNode.Parse(line)!.AsObject());
}
