using System.CommandLine;
using Equip.Bench.CommandLine;
using Equip.Bench.Output;
using Equip.Bench.Suite;
using Equip.Kernels.Dispatch;
using Equip.Model;
using Equip.Model.Transformer;

namespace Equip.Bench.Decode;

/// <summary>"equip decode": tokens a second, as llama-bench measures them, for every cache asked for.</summary>
internal sealed class DecodeCommand : ToolCommand
{
    private readonly ListOption<int> _prompt = ListOptions.Numbers(["-p", "--n-prompt"], "Tokens of a prompt to time (pp); 0 for no such test.", "512", 0);
    private readonly ListOption<int> _generate = ListOptions.Numbers(["-n", "--n-gen"], "Tokens to generate and time (tg); 0 for no such test.", "128", 0);
    private readonly ListOption<Depth> _depth = new(["-d", "--n-depth"], "Tokens already in the sequence when the clock starts; first:last spreads them over the sequences of a batch.", "N|N:N,...", "0", Depth.Parse);
    private readonly ListOption<int> _batch = ListOptions.Numbers(["-ub", "--batch-size"], "Prompt tokens handed over at once, in pp and to fill the depth; a policy that prunes after a prompt does so after the last batch.", "2048", 1);
    private readonly ListOption<int> _sequences = ListOptions.Numbers(["-b", "--sequences"], "Sequences that decode together and share each read of the weights; tokens/s counts the tokens of all.", "1", 1, 4096);
    private readonly ListOption<int> _repetitions = ListOptions.Numbers(["-r", "--repetitions"], "Times that each test is measured, after a warm-up.", "5", 1, one: true);
    private readonly Option<bool> _sequential = new("--sequential") { Description = "Finish each test before the next one. Without it the tests take turns, so that drifting clock speeds hit all alike." };
    private readonly ListOption<int> _quality = ListOptions.Numbers(["--quality-windows"], "Windows of the held-out text that --quality scores; 0 for all.", "4", 0, one: true);
    private readonly Option<bool> _withQuality = new("--quality") { Description = "Add the perplexity of each cache and its change against the full cache, in percent." };
    private readonly ModelSettings _model = new(many: true);
    private readonly CacheSettings _cache = new();
    private readonly FilterSettings _filter = new();
    private readonly ChannelSettings _channels = new();
    private readonly ComputeSettings _compute = new(many: true);
    private readonly OutputSettings _output = new();
    private readonly SuiteSettings _suite = new();

    public DecodeCommand()
        : base(
            "decode",
            "Measure tokens per second, latency, eviction time and memory.",
            """
              Numbers can be lists (1,2,4) and ranges (first-last, first-last+step, first-last*factor); every combination
              is run, and the tests take turns unless --sequential is given. Tokens are random; tokenising and sampling are
              not timed; the depth is filled by a prefill that is not timed either.

              test        pp512: a prompt of 512 tokens; tg128 @ d2048: 128 tokens generated after 2048
              tokens/s    mean over the repetitions ± standard deviation, all sequences together
              ttft ms     time from the start of the sequence to the first token after the prompt (pp) or the depth (tg)
              tpot ms     time of a decode step (one token of each sequence)
              evict us    eviction work (choosing, writing, moving, rotating) a decode step or prompt token; evict %: of the time.
                          Probabilities that attention adds up for h2o as it goes are not in it: compare its tokens/s with full's
              byte bound  bytes a step would read, nothing skipped, by those it reads: how much skipping can bring at most;
                          measured is what it brings, against the same test with nothing skipped, if that is in the list
              filtered    share of (decided token, layer) pairs that skipped attention (--filter)
              filter us   time a step spends deciding
              ffn bytes   of the weights of the feed-forward blocks, what a step reads (--pop, --channels); ffn byte bound and
                          ffn measured as above, of these blocks alone. Without depth the first step is whole: it ranks the
                          channels
              KV          bytes of keys and values held at the end, whole pages, all sequences; and of what all tokens would take
              kept        the budget as a fraction of the prompt (--ratio)
              weights/s   bytes of weights read a second while decoding
              peak RSS    resident memory of the process (mapped weights included) during the test, without the copies of channels that
                          --pop has left for the next test
              change %    perplexity of the cache against the full one, over the same text

              --suite equip compares the in-place forms with every baseline, on random weights and filled caches, for the
              shapes llama-160m, tinyllama-1.1b, llama-2-7b:4 and llama-3-8b:4, or those of --shape; --policy (streaming,
              h2o, full for paged over full), --budget, --sequences, -d (contexts of the full cache), --weights, --kv,
              --isa and -t narrow it down. Each cell takes turns in one process. A shape cut to fewer layers (as far as
              memory asks for it) keeps as much of its vocabulary, so that ratios are those of the whole model. x is how
              many times as long the other takes, "bytes say" the ratio of bytes that have to move, reached their quotient.
              The note says what was asked of a line and whether it is met.

              --suite cost: what evicting in place costs: streaming over a full cache that holds as many tokens, h2o over
              streaming, streaming in pages of 16 over rows in one piece; many single steps in turns. --shape, --budget,
              --sequences, --weights, --kv, --isa and -t narrow it down.

              Data formats (csv, json, jsonl, sql) carry every field in base units, json every sample. A missing value (the
              budget of full) is null.
            """,
            """
              equip decode                                                        pp512 and tg128 of the default model
              equip decode --policy full,streaming --budget 256,512 -p 0 -n 128 -d 2048 --quality
              equip decode --shape llama-160m --weights f32,bf16,q8 -d 0-4096+1024 -o csv > depth.csv
              equip decode --suite equip --quick -o html > equip.html
              equip decode --shape tinyllama-1.1b -p 0 -b 8 -d 512:2048           eight sequences of their own lengths
              equip decode --filter 0,0.5 -p 0 -n 128 -d 1024                     Token Filtering against none
              equip decode --shape tinyllama-1.1b --pop 0,0.2,0.4 -p 0 -n 32      POP against none
              equip decode -m ./Llama-3.2-1B --policy streaming --budget 128-1024*2 -t 1,2,4 -o html > budgets.html
            """) =>
        AddAll([
            _prompt, _generate, _depth, _batch, _sequences, _repetitions, _sequential, _withQuality, _quality,
            .. _model.All, .. _cache.All, .. _filter.All, .. _channels.All, .. _compute.All, _output.Option, .. _suite.All,
        ]);

    /// <summary>The tests of every combination, those that differ in the cache alone side by side; prompts before generation.</summary>
    public static IReadOnlyList<DecodeTest> Combine(
        IReadOnlyList<CacheOptions> caches,
        IReadOnlyList<int> prompts,
        IReadOnlyList<int> generate,
        IReadOnlyList<Depth> depths,
        IReadOnlyList<int>? batches = null,
        IReadOnlyList<int>? sequences = null) =>
    [
        .. from batch in batches ?? [2048]
           from count in sequences ?? [1]
           from depth in depths
           from tokens in prompts.Select(prompt => (Prompt: prompt, Generate: 0)).Concat(generate.Select(tokens => (Prompt: 0, Generate: tokens)))
           where tokens.Prompt + tokens.Generate > 0
           from cache in caches
           select new DecodeTest { PromptTokens = tokens.Prompt, GeneratedTokens = tokens.Generate, Depth = depth, Batch = batch, Sequences = count, Cache = cache },
    ];

    protected override int Run(ParseResult parsed, ToolContext context)
    {
        if (_suite.IsAsked(parsed))
        {
            RunSuite(parsed, context);
            return Cli.Success;
        }

        IReadOnlyList<DecodeTest> tests = Combine(
            _channels.Expand(parsed, _filter.Expand(parsed, _cache.Expand(parsed), _model.DirectoryOf(parsed))), _prompt.Values(parsed), _generate.Values(parsed), _depth.Values(parsed), _batch.Values(parsed), _sequences.Values(parsed));
        if (tests.Count == 0) throw new UsageException("-p and -n: got 0 for both, expected something to measure");
        if (_cache.HasRatio(parsed) && tests.Any(test => test.Depth.First != test.Depth.Last || test.Depth.First + test.PromptTokens == 0))
            throw new UsageException("--ratio: a test without -p and -d has no prompt, one with -d first:last several; expected --budget");
        bool quality = parsed.GetValue(_withQuality);
        if (quality && _model.IsShape(parsed)) throw new UsageException("--quality: a shape has random weights; expected a model");
        IReadOnlyList<Func<LanguageModel>> models = _model.Sources(parsed);
        IReadOnlyList<KernelContext> contexts = _compute.OpenAll(parsed);
        try
        {
            DecodePlan plan = new()
            {
                Models = models,
                Contexts = contexts,
                Tests = tests,
                Repetitions = _repetitions.Single(parsed),
                Interleaved = !parsed.GetValue(_sequential),
                QualityWindows = quality ? _quality.Single(parsed) : null,
            };
            using ResultTable<DecodeRow> results = _output.Open(parsed, "decode", DecodeColumns.All, context);
            ProgressDisplay.Run(context, plan.Steps, "loading", done => plan.Run(results, what => done(1, what), context.Stop));
        }
        finally
        {
            foreach (KernelContext kernels in contexts) kernels.Dispose();
        }

        return Cli.Success;
    }

    private void RunSuite(ParseResult parsed, ToolContext context)
    {
        HashSet<Option> allowed = [.. _suite.All, .. _compute.All, .. _model.SuiteOptions, .. _cache.SuiteOptions, _sequences, _depth, _output.Option];
        if (_suite.AsksForCost(parsed)) allowed.Remove(_depth);
        foreach (Option option in Options)
            if (!allowed.Contains(option) && SuiteSettings.Given(parsed, option)) throw new UsageException($"{option.Name}: does not apply to --suite");
        if (parsed.GetValue(_depth)?.Any(depth => depth.First != depth.Last) == true) throw new UsageException("-d: first:last does not apply to --suite");
        using KernelContext kernels = _compute.OpenOne(parsed);
        _suite.Run(parsed, plan => _cache.Narrow(parsed, plan) with
        {
            Shapes = _model.ShapesOr(parsed, plan.Shapes),
            Weights = _model.SyntheticWeights(parsed),
            Sequences = _sequences.ValuesOr(parsed, plan.Sequences),
            Contexts = [.. _depth.ValuesOr(parsed, [.. plan.Contexts.Select(tokens => (Depth)tokens)]).Select(depth => depth.First)],
        }, kernels, _output, context);
    }
}
