using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Equip.Bench.CommandLine;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Bench;

/// <summary>The commands on the default model.</summary>
internal sealed class EndToEndTests
{
    [Test]
    public void Run_GreedyPrompt_ContinuesAsTheGoldenTokens()
    {
        JsonElement golden = Golden.Case(0);
        (int exit, string output, string error) = CliTests.Invoke("run", "--prompt", golden.GetProperty("prompt").GetString()!, "-n", "8", "--temp", "0", "--kv", "f32");
        Assert.That(exit, Is.Zero, error);
        string text = output.TrimEnd('\r', '\n');
        Assert.That(text, Has.Length.GreaterThan(8));
        Assert.That(golden.GetProperty("greedy_text").GetString(), Does.StartWith(text));
        Assert.That(error, Does.Contain($"prompt: {golden.GetProperty("input_ids").GetArrayLength()} tokens").And.Contain("generated: 8 tokens"));
    }

    [Test]
    public void Run_Seed_GivesTheSameText()
    {
        string[] line = ["run", "--prompt", "It was", "-n", "12", "--temp", "1", "--top-k", "50", "--seed"];
        string first = CliTests.Invoke([.. line, "1"]).Output;
        Assert.That(CliTests.Invoke([.. line, "1"]).Output, Is.EqualTo(first));
        Assert.That(CliTests.Invoke([.. line, "2"]).Output, Is.Not.EqualTo(first));
    }

    [Test]
    public void Decode_FullAndStreaming_RowsCarryEveryFigure()
    {
        JsonArray rows = Json("decode -p 24 -n 6 -d 0,40 -r 2 --policy full,streaming --budget 16 --quality --quality-windows 1 -o json");
        Assert.That(string.Join(", ", rows.Select(row => $"{row!["test"]} {row["policy"]}")), Is.EqualTo(
            "pp24 full, pp24 streaming, tg6 full, tg6 streaming, pp24 @ d40 full, pp24 @ d40 streaming, tg6 @ d40 full, tg6 @ d40 streaming"));
        foreach (JsonNode? row in rows)
        {
            bool generates = Number(row, "n_gen") > 0;
            Assert.That(row!["samples_ts"]!.AsArray(), Has.Count.EqualTo(2));
            Assert.That(row["samples_ts"]!.AsArray().Average(sample => (double)sample!), Is.EqualTo(Number(row, "avg_ts")).Within(1e-6));
            Assert.That((Number(row, "n_gen") + Number(row, "n_prompt")) * 1e9 / (double)row["samples_ns"]![0]!, Is.EqualTo((double)row["samples_ts"]![0]!).Within(0.01).Percent);
            foreach (string field in new[] { "avg_ts", "ttft_ms", "kv_bytes", "peak_rss_bytes", "threads", "weight_bytes", "perplexity" })
                Assert.That(Number(row, field), Is.GreaterThan(0), field);
            foreach (string field in new[] { "backend", "isa", "weights", "kv", "policy", "test_time", "cpu_info" })
                Assert.That(row[field]!.GetValue<string>(), Is.Not.Empty, field);
            Assert.That(row["tpot_ms"] is not null, Is.EqualTo(generates));
            Assert.That(row["weight_bytes_per_s"] is not null, Is.EqualTo(generates));
            Assert.That(row["budget"]?.GetValue<int>(), Is.EqualTo(row["policy"]!.GetValue<string>() == "full" ? null : 16));
        }

        Assert.That(Number(rows[6], "live_tokens"), Is.EqualTo(46));
        Assert.That(Number(rows[7], "live_tokens"), Is.EqualTo(16));
        Assert.That(Number(rows[7], "kv_bytes"), Is.LessThan(Number(rows[6], "kv_bytes")));
        Assert.That(Number(rows[6], "perplexity_change_percent"), Is.Zero);
        Assert.That(Number(rows[7], "perplexity_change_percent"), Is.GreaterThan(0));
    }

    [Test]
    public void Decode_Sequences_CountTheTokensOfAll()
    {
        JsonArray rows = Json("decode -p 0 -n 4 -b 3 -d 0,10:30 -r 1 -o json");
        foreach (JsonNode? row in rows) Assert.That(3 * 4 * 1e9 / Number(row, "avg_ns"), Is.EqualTo(Number(row, "avg_ts")).Within(0.01).Percent);
        Assert.That(Number(rows[0], "live_tokens"), Is.EqualTo(4));
        Assert.That(Number(rows[1], "live_tokens"), Is.EqualTo(((10 + 20 + 30) / 3.0) + 4), "depths spread from 10 to 30");
        Assert.That(rows[1]!["test"]!.GetValue<string>(), Is.EqualTo("tg4 @ d10:30"));
    }

    [Test]
    public void EvalPerplexity_BudgetAboveTheWindow_EqualsFull()
    {
        JsonArray rows = Json("eval perplexity --context 200 --windows 2 --policy full,streaming --budget 32,256 --kv f32 -o json");
        Assert.That(rows, Has.Count.EqualTo(3));
        Assert.That(rows.Select(row => Number(row, "tokens")), Is.All.EqualTo(400));
        Assert.That(Number(rows[2], "perplexity"), Is.EqualTo(Number(rows[0], "perplexity")).Within(0.01).Percent);
        Assert.That(Number(rows[1], "perplexity"), Is.GreaterThan(Number(rows[0], "perplexity")));
    }

    [Test]
    public void EvalPerplexity_PromptTokens_ScoresTheDecodeStepsAndMeasuresPromptPolicies()
    {
        JsonArray rows = Json("eval perplexity --context 100 --windows 2 --prompt-tokens 60 --policy full,snapkv,streaming --budget 40,100 --kv f32 -o json");
        double full = Number(rows[0], "perplexity");
        Assert.That(rows.Select(row => Number(row, "tokens")), Is.All.EqualTo(2 * 40));
        Assert.That(rows.Select(row => Number(row, "prompt_tokens")), Is.All.EqualTo(60));
        Assert.That(rows.Select(row => Number(row, "perplexity") - full), Has.Exactly(3).EqualTo(0).Within(1e-3).And.Exactly(2).GreaterThan(1e-2), "nothing is lost of 60 tokens at budget 100");
    }

    [Test]
    public void Eval_Filter_RowsSayWhatWasFilteredAndRead()
    {
        JsonArray rows = Json("eval perplexity --context 200 --windows 2 --prompt-tokens 140 --policy full --filter 0,0.5 --filter-schedule tail,robust -o json");
        Assert.That(rows, Has.Count.EqualTo(3));
        Assert.That(rows[0]!["filter"], Is.Null);
        Assert.That(string.Join(' ', rows.Skip(1).Select(row => row!["filter_schedule"])), Is.EqualTo("tail robust"));
        foreach (JsonNode? row in rows.Skip(1))
        {
            Assert.That((double?)row!["filtered"], Is.EqualTo(0.5).Within(0.12));
            Assert.That(row["filtered_by_layer"]!.AsArray(), Has.Count.EqualTo(8));
            Assert.That((double?)row["byte_bound"], Is.GreaterThan(1));
            Assert.That((double?)row["perplexity"], Is.GreaterThan((double)rows[0]!["perplexity"]!));
        }
    }

    [Test]
    public void Eval_Sensitivity_OneRowALayerAndASchedule()
    {
        string file = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():N}.json");
        try
        {
            (int exit, string output, string error) = CliTests.Invoke([.. "eval sensitivity --context 160 --windows 2 --prompt-tokens 130 -o jsonl --schedule-out".Split(' '), file]);
            Assert.That(exit, Is.Zero, error);
            Assert.That(output.TrimEnd().Split('\n'), Has.Length.EqualTo(9));
            Assert.That(error, Does.Contain("layer 7: ").And.Contain("schedule: {"));
            JsonArray tiers = JsonNode.Parse(File.ReadAllText(file))!["tiers"]!.AsArray();
            Assert.That(tiers.SelectMany(tier => tier!.AsArray()).Select(layer => (int)layer!).Order(), Is.EqualTo(Enumerable.Range(0, 8)));
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Test]
    public void Decode_FilterOnAShape_BoundAndRatioAgainstTheUnfilteredTest()
    {
        JsonArray rows = Json("decode --shape 64x4x4x2x96 -p 0 -n 32 -d 200 -r 2 --filter 0,0.5 -o json");
        Assert.That(rows, Has.Count.EqualTo(2));
        Assert.That((double?)rows[0]!["byte_bound"], Is.Null);
        Assert.That((double?)rows[1]!["byte_bound"], Is.GreaterThan(1));
        Assert.That((double?)rows[1]!["speedup"], Is.GreaterThan(0));
        Assert.That((double?)rows[1]!["bytes_per_token"], Is.LessThan((double)rows[0]!["bytes_per_token"]!));
        Assert.That((double?)rows[1]!["filter_us"], Is.GreaterThan(0));
    }

    [TestCase("decode --filter 1", "--filter: got '1', expected a number from 0 to 0.95")]
    [TestCase("decode --shape 64x2x4x2x96 --filter 0.1 --filter-schedule robust", "--filter-schedule: robust needs")]
    [TestCase("eval facts --filter 0.1 --filter-schedule nonsense", "--filter-schedule: got 'nonsense'")]
    public void Invoke_BadFilter_ExitsWith2(string line, string problem)
    {
        (int exit, string output, string error) = CliTests.Invoke(line.Split(' '));
        Assert.That(exit, Is.EqualTo(2), error);
        Assert.That(output, Is.Empty);
        Assert.That(error, Does.Contain(problem));
    }

    [Test]
    public void EvalPerplexity_Channels_GetWorseTheLessIsReadAndBestWhenChosenByTheToken()
    {
        JsonArray rows = Json("eval perplexity --context 160 --windows 2 --prompt-tokens 60 --policy full --pop 0,0.4 --channels oracle,random --channel-share 0.6 --kv f32 -o json");
        Assert.That(rows.Select(row => row!["channels"]?.GetValue<string>()), Is.EqualTo([null, "pop", "oracle", "random"]));
        double[] perplexity = [.. rows.Select(row => Number(row, "perplexity"))];
        Assert.That(perplexity[1], Is.GreaterThan(1.2 * perplexity[0]), "pop");
        Assert.That(perplexity[2], Is.EqualTo(perplexity[0]).Within(3).Percent, "oracle");
        Assert.That(perplexity[3], Is.GreaterThan(perplexity[1]), "random");
        Assert.That(rows.Skip(1).Select(row => Number(row, "channels_kept")), Is.All.EqualTo(0.6).Within(0.01));
        Assert.That(Number(rows[1], "ffn_byte_share"), Is.EqualTo(((2 * 0.65) + 0.6) / 3).Within(0.01));
        Assert.That(Number(rows[2], "ffn_byte_share"), Is.EqualTo((2 + 0.6) / 3).Within(0.01));
    }

    [Test]
    public void Decode_Pop_RowsCarryBoundsAndMeasuredRatios()
    {
        JsonArray rows = Json("decode -p 0 -n 4 -d 20 -r 1 --pop 0,0.2 -o json");
        Assert.That(rows[0]!["ffn_speedup"], Is.Null);
        Assert.That(Number(rows[0], "ffn_us"), Is.GreaterThan(0));
        foreach (string field in new[] { "ffn_us", "ffn_speedup", "speedup", "ffn_bytes_per_token" }) Assert.That(Number(rows[1], field), Is.GreaterThan(0), field);
        Assert.That(Number(rows[1], "ffn_byte_bound"), Is.EqualTo(3 / ((2 * 0.85) + 0.8)).Within(0.01));
        Assert.That(Number(rows[1], "byte_bound"), Is.InRange(1.05, Number(rows[1], "ffn_byte_bound")));
        Assert.That(Number(rows[0], "ffn_us") / Number(rows[1], "ffn_us"), Is.EqualTo(Number(rows[1], "ffn_speedup")).Within(1e-6));
    }

    [Test]
    public void EvalPasskey_Full_FindsEveryKeyAndStreamingOnlyNearOnes()
    {
        JsonArray rows = Json("eval passkey --cases 5 --policy full,streaming --budget 128 -o json");
        Assert.That(Number(rows[0], "accuracy"), Is.EqualTo(1));
        Assert.That(Number(rows[0], "cases"), Is.EqualTo(5));
        Assert.That(rows[0]!["by_distance"]!.AsObject().Sum(range => (int)range.Value!["total"]!), Is.EqualTo(5));
        foreach ((string range, JsonNode? tally) in rows[1]!["by_distance"]!.AsObject())
            if (range != "0-149") Assert.That((int)tally!["correct"]!, Is.Zero, range);
    }

    [Test]
    public void Eval_CtrlC_PrintsFinishedRowsAndExitsWith130()
    {
        using CancellationTokenSource stop = new();
        using StoppingWriter output = new(stop);
        using StringWriter error = new();
        int exit = Cli.Invoke(["eval", "facts", "--cases", "1", "--budget", "64,128", "-o", "jsonl"], output, error, stop.Token);
        Assert.That(exit, Is.EqualTo(130));
        Assert.That(error.ToString(), Does.Contain("stopped"));
        Assert.That(output.ToString().TrimEnd().Split('\n'), Has.Length.EqualTo(1));
        Assert.That(JsonNode.Parse(output.ToString())!["policy"]!.GetValue<string>(), Is.EqualTo("full"));
    }

    [TestCase("decode --model /nonexistent", "/nonexistent")]
    [TestCase("decode --policy streaming --budget 3 --sinks 4", "3")]
    [TestCase("eval facts --data /nonexistent.jsonl", "/nonexistent.jsonl")]
    [TestCase("decode --pop 0.1 --pop-gamma 0.3", "gamma: got 0.3, expected 0 to 0.2")]
    public void Invoke_WhatTheLibraryRefuses_ExitsWith1AndOneLine(string line, string problem)
    {
        (int exit, string output, string error) = CliTests.Invoke(line.Split(' '));
        Assert.That(exit, Is.EqualTo(1), error);
        Assert.That(output, Is.Empty);
        Assert.That(error.TrimEnd().Split('\n'), Has.Length.EqualTo(1));
        Assert.That(error, Does.Contain(problem).And.Not.Contain("internal error"));
    }

    [Test]
    public void EvalFacts_BrokenLine_IsNamed()
    {
        string file = Path.GetTempFileName();
        File.WriteAllText(file, "{\"id\": \"a\", \"prompt\": \"x\", \"answer\": \"y\"}\n");
        try
        {
            (int exit, _, string error) = CliTests.Invoke("eval", "facts", "--data", file);
            Assert.That(exit, Is.EqualTo(1));
            Assert.That(error, Does.Contain("line 1").And.Contain("distance"));
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static double Number(JsonNode? row, string field) => row![field]!.GetValue<double>();

    private static JsonArray Json(string line)
    {
        (int exit, string output, string error) = CliTests.Invoke(line.Split(' '));
        Assert.That(exit, Is.Zero, error);
        return JsonNode.Parse(output)!.AsArray();
    }

    /// <summary>Presses Ctrl-C when the first row is written.</summary>
    private sealed class StoppingWriter(CancellationTokenSource stop) : StringWriter
    {
        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(string? value)
        {
            base.Write(value);
            if (value?.Contains('\n', StringComparison.Ordinal) == true) stop.Cancel();
        }
    }
}
