using System.CommandLine;
using System.Diagnostics;
using Equip.Bench.CommandLine;
using Equip.Bench.Info;
using Equip.Bench.Output;
using Equip.Kernels.Dispatch;
using Equip.Model;
using Equip.Model.Config;
using Equip.Model.Transformer;

namespace Equip.Bench.Run;

/// <summary>"equip run": continues a text.</summary>
internal sealed class RunCommand : ToolCommand
{
    private readonly Option<string?> _prompt = new("--prompt", "-p") { Description = "The text to continue.", HelpName = "TEXT" };
    private readonly Option<string?> _promptFile = new("--prompt-file", "-f") { Description = "A UTF-8 file with the text to continue; - for the standard input.", HelpName = "FILE" };
    private readonly ListOption<int> _count = ListOptions.Numbers(["-n", "--n-predict"], "Tokens to generate at most; an end token of the model ends earlier.", "128", 1, one: true);
    private readonly Option<float?> _temperature = new("--temp") { Description = "Temperature; 0 takes the most likely token. [default: the model's generation_config.json, else 0]", HelpName = "T" };
    private readonly Option<int?> _topK = new("--top-k") { Description = "Sample from the K most likely tokens; 0 for all. [default: the model's, else 0]", HelpName = "K" };
    private readonly Option<float?> _topP = new("--top-p") { Description = "Sample from the most likely tokens that together have probability P. [default: the model's, else 1]", HelpName = "P" };
    private readonly Option<ulong?> _seed = new("--seed") { Description = "Seed of the sampling: the same seed and settings give the same text. [default: 0]", HelpName = "N" };
    private readonly ModelSettings _model = new();
    private readonly CacheSettings _cache = new(many: false);
    private readonly FilterSettings _filter = new(many: false);
    private readonly ChannelSettings _channels = new(many: false);
    private readonly ComputeSettings _compute = new();

    public RunCommand()
        : base(
            "run",
            "Continue a text.",
            "  The text goes to the standard output as it is generated, statistics to the standard error.",
            """
              equip run --prompt "It was a cold night, and" -n 64
              equip run --prompt-file story.txt --policy streaming --budget 256 -n 4096      longer than the model's context
              equip run -m ./Llama-3.2-1B --prompt "Once" --temp 0.8 --top-p 0.95 --seed 7
            """)
    {
        AddAll([_prompt, _promptFile, _count, _temperature, _topK, _topP, _seed, .. _model.All, .. _cache.All, .. _filter.All, .. _channels.All, .. _compute.All]);
        Validators.Add(result =>
        {
            if ((result.GetResult(_prompt) is null) == (result.GetResult(_promptFile) is null)) result.AddError("--prompt and --prompt-file: expected one of them");
        });
    }

    protected override int Run(ParseResult parsed, ToolContext context)
    {
        CacheOptions cache = _channels.Single(parsed, _filter.Single(parsed, _cache.Single(parsed), _model.DirectoryOf(parsed)));
        int count = _count.Single(parsed);
        string prompt = parsed.GetValue(_prompt) ?? ReadPrompt(parsed.GetValue(_promptFile)!);
        using LanguageModel model = _model.Open(parsed);
        using KernelContext kernels = _compute.Open(parsed);
        using CpuExecutor executor = new(model, kernels);
        if (cache.Ratio > 0 && model.Tokenizer is { } tokenizer) cache = cache.ForPrompt(tokenizer.Encode(prompt).Length);
        using Sequence sequence = executor.CreateSequence(cache);
        GenerationOptions options = new() { MaxTokens = count, Sampler = CreateSampler(parsed, model.Generation) };

        Stopwatch clock = Stopwatch.StartNew();
        TimeSpan firstToken = default, promptEviction = default;
        int prompted = 0, generated = 0;
        bool stopped = false;
        try
        {
            foreach (GeneratedToken token in Generator.Generate(executor, sequence, prompt, options, context.Stop))
            {
                if (generated++ == 0) (firstToken, promptEviction, prompted) = (clock.Elapsed, executor.EvictionTime, sequence.Tokens);
                context.Output.Write(token.Text);
                context.Output.Flush();
            }
        }
        catch (OperationCanceledException)
        {
            stopped = true;
        }

        TimeSpan rest = clock.Elapsed - firstToken;
        int steps = Math.Max(generated - 1, 0);
        context.Output.WriteLine();
        if (generated > 0)
        {
            context.Error.WriteLine($"prompt: {prompted} tokens, first token after {Format.Number(firstToken.TotalMilliseconds)} ms ({Format.Number(prompted / firstToken.TotalSeconds)} tokens/s)");
            context.Error.WriteLine($"generated: {generated} tokens, {Format.Number(steps > 0 ? rest.TotalMilliseconds / steps : 0)} ms a token ({Format.Number(steps > 0 ? steps / rest.TotalSeconds : 0)} tokens/s)");
            context.Error.WriteLine(
                $"KV cache: {cache.Policy}{(cache.Policy == CacheSettings.Full ? "" : $" {cache.Budget} ({Format.Number(Math.Min(100, 100.0 * cache.Budget / prompted))} % of the prompt)")}, {Format.Number(sequence.LiveTokens)} of {sequence.Tokens} tokens, {Format.Bytes(sequence.KvBytes)}; " +
                $"eviction {Format.Number((executor.EvictionTime - promptEviction).TotalMicroseconds / Math.Max(steps, 1))} us a step; peak memory {Format.Bytes(PeakMemory.Read())}");
            if (executor.Filtered is { Decided: > 0 } filtered) context.Error.WriteLine($"filtered: {Format.Number(100 * filtered.Ratio)} % of attention");
            if (executor.FeedForwardTraffic is { Channels: > 0 } channels) context.Error.WriteLine($"channels: {Format.Number(100 * channels.KeptShare)} % kept");
            if (executor.Traffic is var traffic && traffic.Bytes != traffic.DenseBytes)
                context.Error.WriteLine($"{Format.Bytes(traffic.BytesPerToken)} read a token, byte bound {Format.Number(traffic.Bound)} x");
        }

        return stopped ? Cli.Cancelled : Cli.Success;
    }

    private static string ReadPrompt(string file) => file == "-" ? Console.In.ReadToEnd() : File.ReadAllText(file);

    // What the command line leaves open is as the model's makers sample; greedy where they do not say.
    private Sampler CreateSampler(ParseResult parsed, GenerationConfig model) => new(
        parsed.GetValue(_temperature) ?? (model.DoSample ? model.Temperature : 0),
        parsed.GetValue(_topK) ?? (model.DoSample ? model.TopK : 0),
        parsed.GetValue(_topP) ?? (model.DoSample ? model.TopP : 1),
        parsed.GetValue(_seed) ?? 0);
}
