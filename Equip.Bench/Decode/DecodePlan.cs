using Equip.Bench.CommandLine;
using Equip.Bench.Output;
using Equip.Kernels.Dispatch;
using Equip.Model;
using Equip.Model.Transformer;

namespace Equip.Bench.Decode;

/// <summary>What to measure: every test on every model and context, some times over.</summary>
internal sealed record DecodePlan
{
    /// <summary>Opens each model, one at a time.</summary>
    public required IReadOnlyList<Func<LanguageModel>> Models { get; init; }

    /// <summary>Paths and threads.</summary>
    public required IReadOnlyList<KernelContext> Contexts { get; init; }

    /// <summary>The tests.</summary>
    public required IReadOnlyList<DecodeTest> Tests { get; init; }

    /// <summary>Times that each test is measured.</summary>
    public int Repetitions { get; init; } = 5;

    /// <summary>
    /// Whether the repetitions of different tests alternate. A machine's speed drifts over minutes: rows measured one after
    /// the other cannot be compared as well as rows measured in turns.
    /// </summary>
    public bool Interleaved { get; init; } = true;

    /// <summary>Held-out windows of the perplexity of each cache, measured once a model on the first context; 0 for all, null for none.</summary>
    public int? QualityWindows { get; init; }

    /// <summary>Runs the plan and adds the rows, in the order of the plan. Cut short, rows with a sample are still added.</summary>
    /// <param name="results">Takes the rows.</param>
    /// <param name="step">Called before each measurement with a word on it.</param>
    /// <param name="stop">Ends the work at the next step.</param>
    public void Run(ResultTable<DecodeRow> results, Action<string> step, CancellationToken stop)
    {
        foreach (Func<LanguageModel> open in Models)
        {
            using LanguageModel model = open();
            Run(model, results, step, stop);
        }
    }

    /// <summary>Calls of the step callback at most.</summary>
    public int Steps => (Models.Count * Contexts.Count * Tests.Count * (Repetitions + 1)) + (QualityWindows is not null ? Models.Count * (Tests.Select(test => test.Cache).Distinct().Count() + 1) : 0);

    private void Run(LanguageModel model, ResultTable<DecodeRow> results, Action<string> step, CancellationToken stop)
    {
        CpuExecutor[] executors = [.. Contexts.Select(context => new CpuExecutor(model, context))];
        ModelFacts facts = ModelFacts.Of(model);
        (DecodeRow Row, DecodeBench Bench)[] jobs =
        [
            .. from executor in executors
               let bench = new DecodeBench(executor)
               from test in Tests.Select(test => test with { Cache = CacheSettings.Resolve(executor, test.Cache.ForPrompt(test.Depth.First + test.PromptTokens)) }).Distinct()
               select (new DecodeRow(test, facts, ComputeFacts.Of(executor.Context)), bench),
        ];
        foreach ((DecodeRow row, DecodeBench bench) in jobs.Where(job => job.Row.Test.Cache is { Filter: not null } or { Channels: not null }))
        {
            DecodeTest whole = row.Test with { Cache = row.Test.Cache with { Filter = null, Channels = null } };
            row.Whole = jobs.FirstOrDefault(job => job.Bench == bench && job.Row.Test == whole).Row;
        }

        int reported = 0;
        try
        {
            IReadOnlyDictionary<CacheOptions, PerplexityChange> quality = QualityWindows is { } windows
                ? CacheQuality.Measure(executors[0], jobs.Select(job => job.Row.Test.Cache), windows, step, stop)
                : new Dictionary<CacheOptions, PerplexityChange>();
            foreach ((DecodeRow row, DecodeBench bench) in jobs)
            {
                row.Quality = quality.GetValueOrDefault(row.Test.Cache);
                step($"{row.Test.Label} {row.Test.Cache.Policy}: warm-up");
                bench.WarmUp(row.Test, stop);
            }

            foreach (int job in Order(jobs.Length))
            {
                DecodeRow row = jobs[job].Row;
                step($"{row.Test.Label} {row.Test.Cache.Policy}: {row.Samples.Count + 1} of {Repetitions}");
                row.Add(jobs[job].Bench.Measure(row.Test, stop));
                for (; reported < jobs.Length && jobs[reported].Row.Samples.Count == Repetitions; reported++) results.Add(jobs[reported].Row);
            }
        }
        finally
        {
            foreach ((DecodeRow row, _) in jobs.Skip(reported).Where(job => job.Row.Samples.Count > 0)) results.Add(row);
            foreach (CpuExecutor executor in executors) executor.Dispose();
        }
    }

    private IEnumerable<int> Order(int jobs) => Interleaved
        ? Enumerable.Repeat(Enumerable.Range(0, jobs), Repetitions).SelectMany(round => round)
        : Enumerable.Range(0, jobs).SelectMany(job => Enumerable.Repeat(job, Repetitions));
}
