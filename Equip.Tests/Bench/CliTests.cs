using System.CommandLine;
using System.Text.Json.Nodes;
using Equip.Bench.CommandLine;
using Equip.Kernels.Eviction;
using Equip.Model.Pruning;

namespace Equip.Tests.Bench;

internal sealed class CliTests
{
    private static IEnumerable<Command> Commands
    {
        get
        {
            RootCommand root = Cli.CreateRoot();
            return root.Subcommands.Prepend(root);
        }
    }

    [TestCaseSource(nameof(Commands))]
    public void Help_EveryCommand_NamesEveryOptionAndSubcommand(Command command)
    {
        string[] path = command is RootCommand ? ["--help"] : [command.Name, "--help"];
        (int exit, string output, string error) = Invoke(path);
        Assert.That(exit, Is.Zero);
        Assert.That(error, Is.Empty);
        Assert.That(output, Does.Contain("Examples:"));
        foreach (Option option in command.Options.Where(option => !option.Hidden)) Assert.That(output, Does.Contain(option.Name));
        foreach (Command sub in command.Subcommands) Assert.That(output, Does.Contain(sub.Name).And.Contain(sub.Description!.Split('.')[0]));
    }

    [TestCaseSource(nameof(Commands))]
    public void Options_EveryCommand_HaveADescription(Command command) =>
        Assert.That(command.Options.Where(option => !option.Hidden).Select(option => option.Description), Is.All.Not.Null.And.All.Not.Empty);

    [TestCase("nonsense", "nonsense")]
    [TestCase("decode --nonsense", "--nonsense")]
    [TestCase("decode -p 1-x", "-p: got '1-x'")]
    [TestCase("decode -d 1:2:3", "-d: got '1:2:3', expected first:last")]
    [TestCase("decode -d 5:", "-d: got '', expected a number")]
    [TestCase("decode -p 0 -n 0", "-p and -n")]
    [TestCase("decode --policy nonsense", "--policy: got 'nonsense', expected full")]
    [TestCase("decode --backend cuda", "--backend: 'cuda' is not in this build")]
    [TestCase("decode --positions cache:nonsense", "--positions: got 'cache:nonsense'")]
    [TestCase("decode -o xml", "--output: got 'xml'")]
    [TestCase("decode -o md,csv", "--output: got 2 values, expected one")]
    [TestCase("decode --isa sse", "--isa: got 'sse', expected auto, avx512, avx2, scalar")]
    [TestCase("decode -t 0", "--threads: got 0, expected 1 to 256")]
    [TestCase("decode --budget 0", "--budget: got 0, expected at least 1")]
    [TestCase("decode --model x --shape llama-160m", "--model and --shape")]
    [TestCase("decode --quality --shape llama-160m", "--quality: a shape")]
    [TestCase("decode --pool-kernel 64", "--pool-kernel: got 64, expected 0 to 63")]
    [TestCase("decode --suite nonsense", "--suite: got 'nonsense', expected equip, cost")]
    [TestCase("decode --quick", "--quick: belongs to --suite")]
    [TestCase("decode --suite equip -n 4", "-n: does not apply to --suite")]
    [TestCase("decode --suite equip --update ring", "--update: does not apply to --suite")]
    [TestCase("decode --suite equip --kv f16,bf16", "--kv: got 2 values, expected one with --suite")]
    [TestCase("decode --suite cost -d 64", "-d: does not apply to --suite")]
    [TestCase("decode --suite cost --policy h2o", "--policy: does not apply to --suite cost")]
    [TestCase("decode --suite equip --policy tova", "--policy: the suite compares streaming, h2o and full")]
    [TestCase("decode --suite equip --shape llama-2-7b:0", "got 'llama-2-7b:0', layers is '0', expected an integer from 1")]
    [TestCase("run", "--prompt and --prompt-file")]
    [TestCase("run --prompt x --prompt-file y", "--prompt and --prompt-file")]
    [TestCase("run --prompt x --policy full,streaming", "--policy: got 2 values")]
    [TestCase("eval", "perplexity|passkey|facts")]
    [TestCase("eval nonsense", "task: got 'nonsense', expected perplexity, passkey, facts")]
    [TestCase("eval passkey --prompt-tokens 4", "--prompt-tokens: passkey has its own prompts")]
    [TestCase("decode --pop 1.5", "--pop: got '1.5', expected a number from 0 to 0.99")]
    [TestCase("decode --channels half", "--channels: got 'half', expected none, gate-first, int8-first, static, random, oracle")]
    [TestCase("run --prompt x --pop 0.2 --channels oracle", "--pop and --channels: expected one of them")]
    [TestCase("eval perplexity --pop 0.4 --policy full", "--pop and --channels: channels are chosen after a prompt")]
    [TestCase("eval perplexity --policy snapkv", "--policy: snapkv prunes once")]
    [TestCase("eval passkey --ratio 0", "--ratio: got '0', expected a fraction above 0 and at most 1")]
    [TestCase("eval passkey --ratio 1.5", "--ratio: got '1.5'")]
    [TestCase("eval passkey --ratio NaN", "--ratio: got 'NaN'")]
    [TestCase("eval passkey --ratio 0.1 --budget 64", "--budget and --ratio: expected one of them")]
    [TestCase("decode --policy snapkv --ratio 0.1 -p 0", "--ratio: a test without -p and -d")]
    [TestCase("eval passkey --shard 0/4", "--shard: got '0/4', expected I/N")]
    [TestCase("eval passkey --shard 5/4", "--shard: got '5/4'")]
    [TestCase("eval passkey --shard 3", "--shard: got '3'")]
    [TestCase("eval passkey --suite nonsense", "--suite: got 'nonsense', expected none, laprox-ablation")]
    [TestCase("eval passkey --suite laprox-ablation --policy h2o", "--suite and --policy")]
    [TestCase("eval passkey --pool-kernel 6 --reduction median", "--reduction: got 'median', expected policy, sum")]
    [TestCase("eval report", "Required argument 'FILE' missing")]
    [TestCase("eval perplexity --context 20 --windows 1 --prompt-tokens 20", "--prompt-tokens: got 20, expected at most 19")]
    public void Invoke_WrongCommandLine_ExitsWith2AndSaysWhy(string line, string problem)
    {
        (int exit, string output, string error) = Invoke(line.Split(' '));
        Assert.That(exit, Is.EqualTo(2));
        Assert.That(output, Is.Empty);
        Assert.That(error, Does.StartWith("equip: ").And.Contain(problem));
    }

    [Test]
    public void Invoke_WrongCommandLine_PointsAtTheCommandsHelp() => Assert.That(Invoke("decode", "-x").Error, Does.EndWith("Try 'equip decode --help'." + Environment.NewLine));

    [Test]
    public void Invoke_MissingFile_ExitsWith1AndOneLine()
    {
        (int exit, string output, string error) = Invoke("run", "--prompt-file", "/nonexistent/prompt.txt");
        Assert.That(exit, Is.EqualTo(1));
        Assert.That(output, Is.Empty);
        Assert.That(error.TrimEnd().Split('\n'), Has.Length.EqualTo(1));
        Assert.That(error, Does.Contain("/nonexistent/prompt.txt"));
    }

    [Test]
    public void Invoke_MissingFileVerbose_ShowsTheStackTrace() =>
        Assert.That(Invoke("run", "--prompt-file", "/nonexistent/prompt.txt", "--verbose").Error, Does.Contain("   at "));

    [Test]
    public void Info_Json_IsOneObject()
    {
        (int exit, string output, _) = Invoke("info", "-o", "json", "--isa", "scalar", "-t", "3");
        Assert.That(exit, Is.Zero);
        JsonObject facts = JsonNode.Parse(output)!.AsArray().Single()!.AsObject();
        Assert.That(facts["isa"]!.GetValue<string>(), Is.EqualTo("scalar"));
        Assert.That(facts["threads"]!.GetValue<int>(), Is.EqualTo(3));
        Assert.That(facts["version"]!.GetValue<string>(), Is.Not.Empty);
        Assert.That(facts["memory_bytes"]!.GetValue<long>(), Is.GreaterThan(1L << 20));
    }

    [Test]
    public void Info_Policies_ListsThemAll() =>
        Assert.That(JsonNode.Parse(Invoke("info", "--policies", "-o", "json").Output)!.AsArray().Select(row => row!["policy"]!.GetValue<string>()), Is.EqualTo(EvictionPolicies.Names.Append(TokenFilterOptions.Description.Name).Concat(ChannelOptions.Methods.Select(method => method.Name))));

    [Test]
    public void Version_Option_IsPrinted() => Assert.That(Invoke("--version").Output, Does.Match(@"^\d+\.\d+\.\d+"));

    internal static (int Exit, string Output, string Error) Invoke(params string[] args)
    {
        using StringWriter output = new(), error = new();
        int exit = Cli.Invoke(args, output, error);
        return (exit, output.ToString(), error.ToString());
    }
}
