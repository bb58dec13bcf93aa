using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Text.Json.Nodes;
using Equip.Bench.CommandLine;
using Equip.Bench.Decode;
using Equip.Bench.Output;
using Equip.Kernels.Dispatch;
using Equip.Model;
using Equip.Model.Transformer;

namespace Equip.Bench.Eval;

/// <summary>"equip eval": what a cache does to quality.</summary>
internal sealed class EvalCommand : ToolCommand
{
    private readonly Argument<string> _task = new("task") { CustomParser = ParseTask, Description = "perplexity: of a held-out text. passkey, facts: exact answers to questions about the prompt.", HelpName = "perplexity|passkey|facts" };
    private readonly Option<string?> _data = new("--data") { Description = "Another data file: text for perplexity, else JSON lines with id, prompt, answer and distance.", HelpName = "FILE" };
    private readonly ListOption<int> _cases = ListOptions.Numbers(["--cases"], "Cases of passkey and facts to run, from the first; 0 for all.", "0", 0, one: true);
    private readonly ListOption<int> _windows = ListOptions.Numbers(["--windows"], "Windows of the text to score, from the first; 0 for all.", "0", 0, one: true);
    private readonly ListOption<int> _context = ListOptions.Numbers(["--context"], "Tokens of a window of the text, without bos.", "2047", 1, one: true);
    private readonly ListOption<int> _promptTokens = ListOptions.Numbers(
        ["--prompt-tokens"], "First tokens of a window, bos included, that enter as one dense prompt; the rest are decode steps, and only what they predict is scored. 0 for none.", "0", 0, one: true);

    private readonly ListOption<Func<IEnumerable<CacheOptions>, IEnumerable<CacheOptions>>?> _suite = ListOptions.Names(
        ["--suite"], "Instead of --policy: laprox-ablation, the ablations of LaProx's paper at every budget, with its pooling (average over 7) unless told otherwise.", EvalSuites.Names, one: true);

    private readonly Option<string?> _out = new("--out") { Description = "A file of JSON lines that takes every row when it is finished. Rows that it already has are not measured again, so a stopped command can be given again, and so can one with more policies.", HelpName = "FILE" };
    private readonly Option<(int Index, int Count)?> _shard = new("--shard") { CustomParser = ParseShard, Description = "Measure only every Nth row of the table, from row I: 1/4, 2/4, 3/4 and 4/4 are the whole. Each writes its own --out; the files are concatenated.", HelpName = "I/N" };
    private readonly FilterSettings _filter = new();
    private readonly ModelSettings _model = new();
    private readonly ChannelSettings _channels = new(copies: false);
    private readonly CacheSettings _cache = new(policies: "full,streaming", budgets: "128,512");
    private readonly ComputeSettings _compute = new();
    private readonly OutputSettings _output = new();

    public EvalCommand()
        : base(
            "eval",
            "Measure what eviction costs in quality.",
            """
              perplexity     The text is encoded without bos and cut into windows of 2047 tokens, each preceded by bos. Every
                             token of a window is scored; a last partial window is dropped. With --prompt-tokens 512 the
                             first 512 inputs enter as one prompt and the targets from position 513 on are scored.
              passkey, facts A case counts when the most likely token is the true one at every position of the answer, given
                             the true earlier ones: exactly when greedy decoding gives the answer. Results are also given
                             by distance: tokens from where the answer is stated to the prompt's end.

              Under streaming, windows and prompts go through the cache from their first token, and what is evicted on the
              way is gone. Other policies see the whole prompt of passkey and facts, prune after it, and decode the answer;
              for perplexity they decode the text (behind the prompt, if there is one) token by token. Policies that prune
              once, after a prompt, need --prompt-tokens there (--policy all leaves them out without). Full has no budget
              and comes once. With --ratio every prompt has its own budget; the table shows the mean.

              Caches that see whole prompts are measured side by side, up to 16 a prompt; they share its time evenly. KV is
              what a cache holds after a prompt, whole pages, also as percent of what all tokens of the prompt would take.
              html draws quality over budget, a line a cache; 'equip eval report' does so from earlier results.
            """,
            """
              equip eval perplexity                                      full and streaming on the held-out text
              equip eval perplexity --windows 4 --budget 64-1024*2       a quick curve over budgets
              equip eval perplexity --prompt-tokens 512 --policy full,snapkv --budget 256
              equip eval perplexity --prompt-tokens 512 --policy full --filter 0,0.1,0.3 --filter-schedule uniform,robust
              equip eval sensitivity --data my.txt --schedule-out my-model/filter-schedule.json
              equip eval perplexity --prompt-tokens 512 --policy full --pop 0,0.2,0.4 --channels gate-first,oracle -o html > channels.html
              equip eval passkey --policy streaming --budget 256 -o json
              equip eval facts --policy all --budget 64-512*2 --out facts.jsonl -o html > facts.html
              equip eval passkey --suite laprox-ablation --budget 64-512*2
              equip eval passkey --policy all --budget 64-512*2 -t 1 --shard $SLURM_ARRAY_TASK_ID/16 --out p$SLURM_ARRAY_TASK_ID.jsonl
              parallel equip eval passkey --policy all -t 1 --shard {}/4 --out p{}.jsonl ::: 1 2 3 4; equip eval report p*.jsonl
              equip eval facts --model ./Llama-3.2-1B --data my.jsonl --cases 20
            """)
    {
        Arguments.Add(_task);
        Subcommands.Add(new EvalReportCommand());
        Subcommands.Add(new SensitivityCommand());
        AddAll([_data, _cases, _windows, _context, _promptTokens, _suite, _out, _shard, .. _model.All, .. _cache.All, .. _filter.All, .. _channels.All, .. _compute.All, _output.Option]);
    }

    private static string? ParseTask(ArgumentResult result)
    {
        try
        {
            return EvalTask.Names.Parse(result.Tokens[0].Value);
        }
        catch (FormatException problem)
        {
            result.AddError($"task: {problem.Message}");
            return null;
        }
    }

    private static (int Index, int Count)? ParseShard(ArgumentResult result)
    {
        string text = result.Tokens[0].Value;
        string[] parts = text.Split('/');
        if (parts.Length == 2 && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int index) &&
            int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int count) && index >= 1 && index <= count)
            return (index, count);
        result.AddError($"--shard: got '{text}', expected I/N with I from 1 to N");
        return null;
    }

    protected override int Run(ParseResult parsed, ToolContext context)
    {
        string name = parsed.GetRequiredValue(_task);
        IEnumerable<CacheOptions> caches = Caches(parsed, name);
        using LanguageModel model = _model.Open(parsed);
        using KernelContext kernels = _compute.Open(parsed);
        using CpuExecutor executor = new(model, kernels);
        string? data = parsed.GetValue(_data);
        EvalTask task = name == EvalTask.Perplexity
            ? EvalTask.OfText(model, data, _context.Single(parsed), _windows.Single(parsed), _promptTokens.Single(parsed))
            : EvalTask.OfCases(model, name, data, _cases.Single(parsed));
        ModelFacts facts = ModelFacts.Of(model);
        EvalRow[] rows = [.. caches.Select(cache => Resolve(executor, cache, task)).Distinct().Select(cache => new EvalRow(task, facts, ComputeFacts.Of(kernels), cache))];
        if (parsed.GetValue(_shard) is var (index, count)) rows = [.. rows.Where((_, i) => i % count == index - 1)];
        using EvalLog log = new(parsed.GetValue(_out), note => context.Error.WriteLine($"equip: {note}"));
        EvalPlan plan = new(executor, task, rows, log);
        if (plan.Known > 0) context.Error.WriteLine($"equip: {plan.Known} of {rows.Length} rows are in {parsed.GetValue(_out)}");
        using ResultTable<JsonObject> results = _output.Open(parsed, name, EvalRow.RecordColumns, context, figures: () => EvalCurves.Html(plan.Records));
        ProgressDisplay.Run(context, plan.Steps, name, done => plan.Run(results, done, context.Stop));
        return Cli.Success;
    }

    /// <summary>The caches asked for, before any model is there.</summary>
    private IEnumerable<CacheOptions> Caches(ParseResult parsed, string task)
    {
        IReadOnlyList<CacheOptions> caches = _channels.Expand(parsed, _cache.Expand(parsed));
        if (_suite.Single(parsed) is { } suite)
        {
            if (_cache.NamesPolicies(parsed)) throw new UsageException("--suite and --policy: expected one of them");
            caches = [.. suite(caches)];
        }

        caches = _filter.Expand(parsed, caches, _model.DirectoryOf(parsed));
        int promptTokens = _promptTokens.Single(parsed);
        if (task != EvalTask.Perplexity)
            return promptTokens == 0 ? caches : throw new UsageException($"--prompt-tokens: {task} has its own prompts");
        if (_cache.AsksForEvery(parsed)) return caches.Where(cache => Perplexity.CanMeasure(cache, promptTokens));
        if (caches.FirstOrDefault(cache => !Perplexity.CanMeasure(cache, promptTokens)) is { } blind)
            throw new UsageException($"{(blind.Channels is null ? $"--policy: {blind.Policy} prunes once, after a prompt" : "--pop and --channels: channels are chosen after a prompt")}, which perplexity has only with --prompt-tokens");
        return caches;
    }

    /// <summary>The cache with its policy's choices; under a ratio with the budget of the mean prompt, and tried for every prompt.</summary>
    private static CacheOptions Resolve(CpuExecutor executor, CacheOptions cache, EvalTask task)
    {
        if (cache.Ratio > 0)
            foreach (int tokens in task.PrunedLengths) _ = CacheSettings.Resolve(executor, cache.ForPrompt(tokens));
        return CacheSettings.Resolve(executor, cache with { Budget = cache.ForPrompt(task.PrunedTokens).Budget });
    }
}
