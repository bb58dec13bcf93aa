using System.CommandLine;
using System.CommandLine.Parsing;
using System.Diagnostics;
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
    private const string PerplexityTask = "perplexity";

    private static readonly Choices<string> _tasks = new([(PerplexityTask, PerplexityTask), ("passkey", "passkey"), ("facts", "facts")]);

    // Sequences whose answers are decoded together: enough to share the weight reads, few enough to keep their caches small.
    private const int Together = 16;

    private readonly Argument<string> _task = new("task") { CustomParser = ParseTask, Description = "perplexity: of a held-out text. passkey, facts: exact answers to questions about the prompt.", HelpName = "perplexity|passkey|facts" };
    private readonly Option<string?> _data = new("--data") { Description = "Another data file: text for perplexity, else JSON lines with id, prompt, answer and distance.", HelpName = "FILE" };
    private readonly ListOption<int> _cases = ListOptions.Numbers(["--cases"], "Cases of passkey and facts to run, from the first; 0 for all.", "0", 0, one: true);
    private readonly ListOption<int> _windows = ListOptions.Numbers(["--windows"], "Windows of the text to score, from the first; 0 for all.", "0", 0, one: true);
    private readonly ListOption<int> _context = ListOptions.Numbers(["--context"], "Tokens of a window of the text, without bos.", "2047", 1, one: true);
    private readonly ListOption<int> _promptTokens = ListOptions.Numbers(
        ["--prompt-tokens"], "First tokens of a window, bos included, that enter as one dense prompt; the rest are decode steps, and only what they predict is scored. 0 for none.", "0", 0, one: true);

    private readonly ModelSettings _model = new();
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
              once, after a prompt, need --prompt-tokens there. Full has no budget and comes once.
            """,
            """
              equip eval perplexity                                      full and streaming on the held-out text
              equip eval perplexity --windows 4 --budget 64-1024*2       a quick curve over budgets
              equip eval perplexity --prompt-tokens 512 --policy full,snapkv --budget 256
              equip eval passkey --policy streaming --budget 256 -o json
              equip eval facts --model ./Llama-3.2-1B --data my.jsonl --cases 20
            """)
    {
        Arguments.Add(_task);
        AddAll([_data, _cases, _windows, _context, _promptTokens, .. _model.All, .. _cache.All, .. _compute.All, _output.Option]);
    }

    private static string? ParseTask(ArgumentResult result)
    {
        try
        {
            return _tasks.Parse(result.Tokens[0].Value);
        }
        catch (FormatException problem)
        {
            result.AddError($"task: {problem.Message}");
            return null;
        }
    }

    protected override int Run(ParseResult parsed, ToolContext context)
    {
        string task = parsed.GetRequiredValue(_task);
        bool retrieval = task != PerplexityTask;
        string data = parsed.GetValue(_data) ?? EvalData.PathOf(task switch { PerplexityTask => EvalData.Heldout, "passkey" => EvalData.Passkey, _ => EvalData.Facts });
        IReadOnlyList<CacheOptions> caches = _cache.Expand(parsed);
        using LanguageModel model = _model.Open(parsed);
        using KernelContext kernels = _compute.Open(parsed);
        using CpuExecutor executor = new(model, kernels);
        CacheOptions[] resolved = [.. caches.Select(cache => CacheSettings.Resolve(executor, cache)).Distinct()];
        int promptTokens = _promptTokens.Single(parsed);
        if (retrieval && promptTokens > 0) throw new UsageException($"--prompt-tokens: {task} has its own prompts");
        if (!retrieval && caches.FirstOrDefault(cache => !Perplexity.CanMeasure(cache, promptTokens)) is { } blind)
            throw new UsageException($"--policy: {blind.Policy} prunes once, after a prompt, which perplexity has only with --prompt-tokens");
        IReadOnlyList<RetrievalCase> cases = retrieval ? RetrievalCase.Read(model, data, _cases.Single(parsed)) : [];
        HeldoutWindows? windows = retrieval ? null : HeldoutWindows.Read(model, data, _context.Single(parsed), _windows.Single(parsed));
        if (promptTokens > windows?.Sequences[0].Length - 2)
            throw new UsageException($"--prompt-tokens: got {promptTokens}, expected at most {windows!.Sequences[0].Length - 2}, so that a window has a decode step to score");
        using ResultTable<EvalRow> results = _output.Open(parsed, task, EvalRow.ColumnsOf(retrieval), context);
        int steps = resolved.Length * (windows?.Sequences.Count ?? cases.Count);
        ProgressDisplay.Run(context, steps, task, done =>
        {
            foreach (CacheOptions cache in resolved)
            {
                string what = cache.Policy == CacheSettings.Full ? cache.Policy : $"{cache.Policy} {cache.Budget}";
                Stopwatch clock = Stopwatch.StartNew();
                Perplexity? perplexity = windows is null ? null : Perplexity.Measure(executor, cache, windows, promptTokens, () => done(1, what), context.Stop);
                Retrieval? answers = windows is null ? Retrieval.Measure(executor, cache, cases, Together, count => done(count, what), context.Stop) : null;
                results.Add(new EvalRow(task, Path.GetFileName(data), ModelFacts.Of(model), ComputeFacts.Of(kernels), cache, clock.Elapsed.TotalSeconds)
                {
                    Perplexity = perplexity,
                    PromptTokens = retrieval ? null : promptTokens,
                    Retrieval = answers,
                });
            }
        });
        return Cli.Success;
    }
}
