using System.Diagnostics;
using Equip.Bench.Decode;
using Equip.Bench.Info;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Model;
using Equip.Model.Config;
using Equip.Model.Transformer;

namespace Equip.Bench.Suite;

/// <summary>
/// Measures cells in one process. The caches of a cell, each with its own filled sequences, take turns on one model, so that a
/// machine whose speed drifts is as fast for one as for the other; a ratio is the median over the rounds of turns. Attention
/// and cache work alone are timed inside the same steps, between reads of the weights, as in use.
/// </summary>
internal sealed class SuiteRun(SuitePlan plan, KernelContext context) : IDisposable
{
    private const long CeilingBytes = 256L << 20;
    private const int WarmUpSteps = 1, FewestRounds = 3, MostSteps = 200;

    private readonly ReadBandwidth _memory = new(CeilingBytes, context.Threads);
    private (string Shape, int Layers) _modelKey;
    private LanguageModel? _model;

    /// <summary>What all rows of this run share.</summary>
    public SuiteRunFacts Facts { get; } = new(plan.KvType.Name(), plan.Weights.Name(), IsaRegistry.Name(context.Isa), context.Threads, plan.Description);

    /// <summary>Measures a cell.</summary>
    public IReadOnlyList<SuiteRow> Measure(SuiteCell cell, CancellationToken stop)
    {
        using CpuExecutor executor = new(Model(cell), context);
        List<Turns> turns = [];
        try
        {
            foreach (SuiteEntry entry in cell.Entries)
            {
                turns.Add(new Turns(executor, entry, cell.Sequences, plan.UntimedSteps));
                turns[^1].Calibrate(plan.TurnSeconds);
                stop.ThrowIfCancellationRequested();
            }

            List<double> memory = [];
            long start = Stopwatch.GetTimestamp();
            for (int round = 0; round < plan.Rounds; round++)
            {
                if (round >= FewestRounds && Stopwatch.GetElapsedTime(start).TotalSeconds > plan.CellSeconds) break;
                memory.Add(_memory.Sample(context.Pool, 0.01));
                for (int turn = 0; turn < turns.Count; turn++)
                {
                    turns[(round + turn) % turns.Count].Take();
                    stop.ThrowIfCancellationRequested();
                }
            }

            return [.. cell.Pairs.Select(pair => Row(cell, pair, executor.Model.WeightBytes, turns.Find(turn => turn.Entry == pair.InPlace)!, turns.Find(turn => turn.Entry == pair.Over)!, Statistics.Median(memory)))];
        }
        finally
        {
            foreach (Turns entry in turns) entry.Dispose();
        }
    }

    public void Dispose()
    {
        _model?.Dispose();
        _memory.Dispose();
    }

    private LanguageModel Model(SuiteCell cell)
    {
        (string, int) key = (cell.Shape, cell.Config.Layers);
        if (_model is not null && _modelKey == key) return _model;
        _model?.Dispose();
        _model = null;
        _modelKey = key;
        return _model = LanguageModel.CreateSynthetic(new ModelShape { Name = cell.Shape, Config = cell.Config }, plan.Weights);
    }

    private SuiteRow Row(SuiteCell cell, SuitePair pair, long weightBytes, Turns inPlace, Turns over, double memory)
    {
        TrafficModel traffic = new(cell.Config, plan.KvType);
        double few = traffic.CacheBytes(pair.InPlace.Traffic, cell.Sequences), many = traffic.CacheBytes(pair.Over.Traffic, cell.Sequences);
        Turns evicting = cell.Block == SuitePlan.Cost ? over : inPlace;
        SuiteRatio cache = Ratio(inPlace.CacheSeconds, over.CacheSeconds, many / few);
        SuiteRow row = new()
        {
            Cell = cell.Key,
            Block = cell.Block,
            Shape = cell.Shape,
            Layers = cell.Config.Layers,
            MultiHead = cell.Config.Heads == cell.Config.KvHeads,
            Sequences = cell.Sequences,
            Budget = evicting.Entry.Cache.Budget,
            Context = cell.Block == SuitePlan.Paged ? pair.Over.Context : null,
            Over = pair.Name,
            Published = pair.Published,
            Step = Ratio(inPlace.StepSeconds, over.StepSeconds, (weightBytes + many) / (weightBytes + few)),
            Cache = cache,
            InPlaceRate = few / (cache.InPlaceMs * 1e-3),
            ExtraRate = many == few ? null : (many - few) / ((cache.OverMs - cache.InPlaceMs) * 1e-3),
            MemoryRate = memory,
            EvictionShare = Statistics.Median(evicting.EvictionSeconds.Zip(evicting.StepSeconds, (part, whole) => part / whole)),
            Turns = inPlace.StepSeconds.Count,
            KvType = Facts.KvType,
            Weights = Facts.Weights,
            Isa = Facts.Isa,
            Threads = Facts.Threads,
            Run = Facts.Run,
        };
        return row with { Note = SuiteCause.Name(row, 2 * traffic.RowBytes * pair.Over.Traffic.Live) };
    }

    private static SuiteRatio Ratio(IReadOnlyList<double> inPlace, IReadOnlyList<double> over, double predicted) =>
        new(Statistics.Median(inPlace) * 1e3, Statistics.Median(over) * 1e3, Statistics.Median(over.Zip(inPlace, (slow, fast) => slow / fast)), predicted);

    /// <summary>An entry's sequences and samples.</summary>
    private sealed class Turns : IDisposable
    {
        // Tokens that a growing cache may be off its context.
        private const int Drift = 16;

        private readonly CpuExecutor _executor;
        private readonly Sequence[] _sequences;
        private readonly int[] _tokens;
        private readonly float[] _logits;
        private readonly Random _random = new(1);
        private readonly int _untimed;
        private int _steps = 1;

        public Turns(CpuExecutor executor, SuiteEntry entry, int sequences, int untimed)
        {
            (_executor, Entry, _untimed) = (executor, entry, untimed);
            _tokens = new int[sequences];
            _logits = new float[(long)sequences * executor.Model.Config.VocabularySize];
            _sequences = new Sequence[sequences];
            for (int i = 0; i < sequences; i++)
            {
                _sequences[i] = executor.CreateSequence(entry.Cache);
                executor.FillRandom(_sequences[i], entry.Refills ? Math.Max(1, entry.Context - Drift) : entry.Context, i);
            }
        }

        public SuiteEntry Entry { get; }

        /// <summary>Seconds of a step, a turn each.</summary>
        public List<double> StepSeconds { get; } = [];

        /// <summary>Seconds of a step's attention and cache work.</summary>
        public List<double> CacheSeconds { get; } = [];

        /// <summary>Of these, seconds of eviction and insertion.</summary>
        public List<double> EvictionSeconds { get; } = [];

        /// <summary>Warms up, and finds how many steps a turn takes.</summary>
        public void Calibrate(double seconds)
        {
            for (int i = 0; i < WarmUpSteps; i++) Step();
            _steps = (int)Math.Clamp(Math.Ceiling(seconds / Time().Step), 1, MostSteps);
        }

        public void Take()
        {
            if (Entry.Refills && _sequences[0].Tokens >= Entry.Context + Drift) Refill();
            for (int i = 0; i < _untimed; i++) Step();
            (double step, double attention, double eviction) = Time();
            StepSeconds.Add(step);
            CacheSeconds.Add(attention + eviction);
            EvictionSeconds.Add(eviction);
        }

        public void Dispose()
        {
            foreach (Sequence sequence in _sequences) sequence?.Dispose();
        }

        private void Refill()
        {
            for (int i = 0; i < _sequences.Length; i++)
            {
                _sequences[i].Reset();
                _executor.FillRandom(_sequences[i], Math.Max(1, Entry.Context - Drift), i);
            }
        }

        private (double Step, double Attention, double Eviction) Time()
        {
            TimeSpan attention = _executor.AttentionTime, eviction = _executor.EvictionTime;
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < _steps; i++) Step();
            double step = Stopwatch.GetElapsedTime(start).TotalSeconds;
            return (step / _steps, (_executor.AttentionTime - attention).TotalSeconds / _steps, (_executor.EvictionTime - eviction).TotalSeconds / _steps);
        }

        private void Step()
        {
            for (int i = 0; i < _tokens.Length; i++) _tokens[i] = _random.Next(_executor.Model.Config.VocabularySize);
            _executor.Decode(_sequences, _tokens, _logits);
        }
    }
}
