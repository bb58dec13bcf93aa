using System.CommandLine;
using System.Text.Json.Nodes;
using Equip.Bench.CommandLine;
using Equip.Bench.Decode;
using Equip.Bench.Output;
using Equip.Kernels.Dispatch;
using Equip.Model;
using Equip.Model.Pruning;
using Equip.Model.Transformer;

namespace Equip.Bench.Eval;

/// <summary>
/// "equip eval sensitivity": how much a model needs the attention of each of its layers on a text. The layers in tiers of growing damage
/// are a schedule for Token Filtering.
/// </summary>
internal sealed class SensitivityCommand : ToolCommand
{
    private const double Rate = 0.8;

    private readonly Option<string?> _data = new("--data") { Description = "The text. [default: the held-out text that comes with equip]", HelpName = "FILE" };
    private readonly ListOption<int> _windows = ListOptions.Numbers(["--windows"], "Windows of the text, from the first; 0 for all.", "4", 0, one: true);
    private readonly ListOption<int> _context = ListOptions.Numbers(["--context"], "Tokens of a window of the text, without bos.", "2047", 1, one: true);
    private readonly ListOption<int> _promptTokens = ListOptions.Numbers(["--prompt-tokens"], "First tokens of a window that enter as one dense prompt and are not scored.", "512", 0, one: true);
    private readonly Option<string?> _scheduleOut = new("--schedule-out") { Description = "Write the tiers to this file, for --filter-schedule.", HelpName = "FILE" };
    private readonly ModelSettings _model = new();
    private readonly CacheSettings _cache = new(many: false);
    private readonly FilterSettings _filter = new(many: false);
    private readonly ComputeSettings _compute = new();
    private readonly OutputSettings _output = new();

    public SensitivityCommand()
        : base(
            "sensitivity",
            "Measure how much the attention of each layer matters: a schedule for --filter.",
            """
              The perplexity without a filter, then with one layer filtered at 0.8 (or --filter), for every layer. The tiers go
              to the standard error: layers that lose up to 10 % of what the most sensitive one loses, up to 50 %, and the rest.
            """,
            """
              equip eval sensitivity --data my.txt --schedule-out my-model/filter-schedule.json -m my-model
              equip eval perplexity -m my-model --prompt-tokens 512 --policy full --filter 0.1,0.3 --filter-schedule robust
            """)
        => AddAll([_data, _windows, _context, _promptTokens, _scheduleOut, .. _model.All, .. _cache.All, .. _filter.All, .. _compute.All, _output.Option]);

    protected override int Run(ParseResult parsed, ToolContext context)
    {
        CacheOptions cache = _cache.Single(parsed);
        using LanguageModel model = _model.Open(parsed);
        using KernelContext kernels = _compute.Open(parsed);
        using CpuExecutor executor = new(model, kernels);
        EvalTask task = EvalTask.OfText(model, parsed.GetValue(_data), _context.Single(parsed), _windows.Single(parsed), _promptTokens.Single(parsed));
        if (!Perplexity.CanMeasure(cache, task.PromptTokens)) throw new UsageException($"--policy: {cache.Policy} prunes once, after a prompt, which needs --prompt-tokens");
        int layers = model.Config.Layers;
        ModelFacts facts = ModelFacts.Of(model);
        EvalRow[] rows =
        [
            .. from filter in Enumerable.Range(0, layers).Select(layer => (TokenFilterOptions?)_filter.OneLayerOf(parsed, layer, layers, Rate)).Prepend(null)
               select new EvalRow(task, facts, ComputeFacts.Of(kernels), CacheSettings.Resolve(executor, cache with { Filter = filter })),
        ];
        using EvalLog log = new(null, _ => { });
        EvalPlan plan = new(executor, task, rows, log);
        using (ResultTable<JsonObject> results = _output.Open(parsed, "sensitivity", EvalRow.RecordColumns, context))
            ProgressDisplay.Run(context, plan.Steps, "sensitivity", done => plan.Run(results, done, context.Stop));

        double[] nats = [.. plan.Records.Select(record => record["nll_per_token"]!.GetValue<double>())];
        double[] damage = [.. nats.Skip(1).Select(value => value - nats[0])];
        foreach (int layer in Enumerable.Range(0, layers).OrderBy(layer => damage[layer]))
            context.Error.WriteLine(FormattableString.Invariant($"layer {layer}: {damage[layer]:+0.0000;-0.0000} nats/token"));
        string json = FilterSchedule.Json(FilterSchedule.TiersOf("sensitivity", damage));
        context.Error.Write($"schedule: {json}");
        if (parsed.GetValue(_scheduleOut) is { } file) File.WriteAllText(file, json);
        return Cli.Success;
    }
}
