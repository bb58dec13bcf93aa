using System.Diagnostics;
using System.Text.Json.Nodes;
using Equip.Bench.CommandLine;
using Equip.Bench.Output;
using Equip.Model.Transformer;

namespace Equip.Bench.Eval;

/// <summary>
/// Measures rows of one task, those of the log excepted. Caches that see a whole prompt before they prune it are measured side by
/// side: the prompt is computed once for all of them.
/// </summary>
internal sealed class EvalPlan(CpuExecutor executor, EvalTask task, IReadOnlyList<EvalRow> rows, EvalLog log)
{
    // Caches side by side: enough that the prompt no longer counts, few enough to lose little when a sweep is stopped.
    private const int SideBySide = 16;

    // Sequences whose answers are decoded together: enough to share the weight reads, few enough to keep their caches small.
    private const int Together = 16;

    private readonly JsonObject?[] _records = [.. rows.Select(row => log.Find(row.ToRecord()))];

    /// <summary>Windows or cases to run, once a cache.</summary>
    public int Steps => _records.Count(record => record is null) * task.Samples;

    /// <summary>Rows that the log already has.</summary>
    public int Known => _records.Count(record => record is not null);

    /// <summary>The results so far, in the order of the rows.</summary>
    public IReadOnlyList<JsonObject> Records => [.. _records.OfType<JsonObject>()];

    /// <summary>Measures and adds the rows in their order. Cut short, those that are finished are still added.</summary>
    /// <param name="results">Takes the rows.</param>
    /// <param name="done">Called after some steps with their number and a word on what is done.</param>
    /// <param name="stop">Ends the work at the next step.</param>
    public void Run(ResultTable<JsonObject> results, Action<int, string> done, CancellationToken stop)
    {
        int reported = 0;
        try
        {
            foreach (int[] batch in Batches())
            {
                Report(whole: false);
                Stopwatch clock = Stopwatch.StartNew();
                string what = string.Join(' ', batch.Select(i => NameOf(rows[i].Cache)).Take(2)) + (batch.Length > 2 ? $" and {batch.Length - 2} more" : "");
                StepFacts before = StepFacts.Of(executor);
                EvalRow[] measured = Measure([.. batch.Select(i => rows[i])], count => done(count, what), stop);
                StepFacts? steps = batch.Length == 1 ? StepFacts.Since(before, executor) : null;
                for (int i = 0; i < batch.Length; i++)
                {
                    JsonObject record = (measured[i] with { Seconds = clock.Elapsed.TotalSeconds / batch.Length, Steps = steps }).ToRecord();
                    log.Add(record);
                    _records[batch[i]] = record;
                }
            }
        }
        finally
        {
            Report(whole: true);
        }

        void Report(bool whole)
        {
            for (; reported < rows.Count && (whole || _records[reported] is not null); reported++)
                if (_records[reported] is { } record) results.Add(record);
        }
    }

    private static string NameOf(CacheOptions cache) => cache.Policy == CacheSettings.Full ? cache.Policy : $"{cache.Policy} {cache.Budget}";

    /// <summary>Indices of the rows to measure, those side by side in one list, first rows first.</summary>
    private IEnumerable<int[]> Batches()
    {
        int[] open = [.. Enumerable.Range(0, rows.Count).Where(i => _records[i] is null)];
        ILookup<bool, int> sharing = open.ToLookup(i => task.Windows is null && SharesPrompts(rows[i].Cache));
        IEnumerable<int[]> together = sharing[true].GroupBy(i => rows[i].Cache.KvType).SelectMany(group => group.Chunk(SideBySide));
        return together.Concat(sharing[false].Select(i => new[] { i })).OrderBy(batch => batch[0]);
    }

    private bool SharesPrompts(CacheOptions cache)
    {
        // What decode steps leave out is counted for each row alone.
        if (cache is { Filter: not null } or { Channels: not null }) return false;
        using Sequence probe = executor.CreateSequence(cache with { Ratio = 0 });
        return probe.SharesPrompts;
    }

    private EvalRow[] Measure(EvalRow[] batch, Action<int> done, CancellationToken stop)
    {
        if (task.Windows is { } windows)
            return [.. batch.Select(row => row with { Perplexity = Perplexity.Measure(executor, row.Cache.ForPrompt(task.PrunedTokens), windows, task.PromptTokens, () => done(1), stop) })];
        Retrieval[] answers = Retrieval.Measure(executor, [.. batch.Select(row => row.Cache)], task.Cases, Math.Max(1, Together / batch.Length), done, stop);
        return [.. batch.Zip(answers, (row, answer) => row with { Retrieval = answer })];
    }
}
