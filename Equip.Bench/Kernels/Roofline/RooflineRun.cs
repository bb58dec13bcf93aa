using System.Diagnostics;
using Equip.Bench.Decode;
using Equip.Bench.Info;
using Equip.Kernels.Dispatch;

namespace Equip.Bench.Kernels.Roofline;

/// <summary>
/// Measures a plan. Machines drift by a fifth from minute to minute, so every sample of a kernel follows one of its own
/// ceiling, the kernels of a group take turns, and a row is the median of such pairs. The ceiling of a kernel whose operands
/// stay in cache is reading as many bytes over and over, that of a kernel without threads is what one thread reads, and that of
/// arithmetic is the same path's multiply-adds.
/// </summary>
internal sealed class RooflineRun : IDisposable
{
    private readonly RooflinePlan _plan;
    private readonly IReadOnlyList<KernelContext> _contexts;
    private readonly int _everywhere;
    private readonly WorkerPool _oneThread = new(1);
    private readonly ReadBandwidth _memory;
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly List<double> _readSamples = [];
    private readonly List<double> _flopSamples = [];

    /// <summary>Makes the buffer of memory's ceiling.</summary>
    /// <param name="plan">What to measure.</param>
    /// <param name="contexts">Paths, on the same number of threads.</param>
    /// <param name="everywhere">How many of them, from the first, measure every row; the others those from memory.</param>
    public RooflineRun(RooflinePlan plan, IReadOnlyList<KernelContext> contexts, int everywhere)
    {
        (_plan, _contexts, _everywhere) = (plan, contexts, everywhere);
        _memory = new ReadBandwidth(plan.CeilingBytes, contexts[0].Threads);
    }

    /// <summary>What the machine did, over the whole run.</summary>
    public Ceilings Ceilings => new(Statistics.Median(_readSamples), Statistics.Median(_flopSamples));

    /// <summary>Measures everything.</summary>
    /// <param name="progress">Called before each group with its name.</param>
    /// <param name="stop">Ends the work at the next sample.</param>
    /// <exception cref="InvalidOperationException">A kernel's result is wrong.</exception>
    public IReadOnlyList<RooflineRow> Measure(Action<string> progress, CancellationToken stop)
    {
        List<RooflineRow> rows = [];
        foreach (RooflineGroup group in _plan.Groups)
        {
            progress($"{group.Name} {(group.FromMemory ? "from memory" : "in cache")}");
            rows.AddRange(Measure(group, stop));
        }

        return rows;
    }

    public void Dispose()
    {
        _memory.Dispose();
        _oneThread.Dispose();
    }

    private List<RooflineRow> Measure(RooflineGroup group, CancellationToken stop)
    {
        List<KernelCase> cases = [];
        Dictionary<(long Bytes, int Threads), ReadBandwidth> caches = [];
        try
        {
            List<Entry> entries = [];
            foreach (Func<KernelCase> make in group.Cases)
            {
                stop.ThrowIfCancellationRequested();
                KernelCase made = make();
                cases.Add(made);
                foreach (KernelContext context in _contexts.Take(made.OnePath ? 1 : group.FromMemory ? _contexts.Count : _everywhere))
                {
                    made.Check(context);
                    entries.Add(new Entry(made, context, Ceiling(made, context, group.FromMemory, caches)));
                }
            }

            foreach (Entry entry in entries) entry.Calibrate(_plan.SampleSeconds);
            long groupStart = Stopwatch.GetTimestamp();
            for (int round = 0; round < _plan.Rounds; round++)
            {
                bool late = Stopwatch.GetElapsedTime(groupStart).TotalSeconds > RooflinePlan.GroupSeconds || Stopwatch.GetElapsedTime(_start).TotalSeconds > RooflinePlan.TotalSeconds;
                if (late && round >= _plan.FewestRounds) break;
                _readSamples.Add(_memory.Sample(_contexts[0].Pool, _plan.SampleSeconds));
                _flopSamples.Add(_contexts.Take(_everywhere).Max(context => FmaPeak.Sample(context, _plan.SampleSeconds)));
                foreach (Entry entry in entries)
                {
                    stop.ThrowIfCancellationRequested();
                    entry.Sample();
                }
            }

            return [.. entries.Select(entry => ToRow(entry, group, entries))];
        }
        finally
        {
            foreach (ReadBandwidth cache in caches.Values) cache.Dispose();
            foreach (KernelCase made in cases) made.Dispose();
        }
    }

    private Func<double> Ceiling(KernelCase made, KernelContext context, bool fromMemory, Dictionary<(long Bytes, int Threads), ReadBandwidth> caches)
    {
        if (made.Flops > 0) return () => FmaPeak.Sample(context, _plan.SampleSeconds);
        WorkerPool pool = made.OneThread ? _oneThread : context.Pool;
        ReadBandwidth? read = _memory;
        (long, int) key = ((long)made.WorkingSet, pool.Threads);
        if (!fromMemory && !caches.TryGetValue(key, out read)) caches[key] = read = new ReadBandwidth((long)made.WorkingSet, pool.Threads);
        return () => read.Sample(pool, _plan.SampleSeconds);
    }

    private static RooflineRow ToRow(Entry entry, RooflineGroup group, List<Entry> entries)
    {
        KernelCase made = entry.Case;
        bool computes = made.Flops > 0;
        double work = computes ? made.Flops : made.Bytes;
        Entry? shift = made.Kernel == Cases.InsertCase.Writing ? entries.Find(other => other.Case.Kernel == Cases.InsertCase.Shifting && other.Context == entry.Context) : null;
        return new RooflineRow(
            made.Kernel,
            made.OnePath ? "any" : IsaRegistry.Name(entry.Context.Isa),
            made.Type,
            made.Shape,
            group.FromMemory,
            computes,
            Statistics.Median(entry.Seconds) * 1e6,
            Statistics.Median(entry.Seconds.Select(seconds => work / seconds)),
            Statistics.Median(entry.Ceilings),
            Statistics.Median(entry.Seconds.Zip(entry.Ceilings, (seconds, ceiling) => work / seconds / ceiling)))
        {
            TimesFaster = shift is null ? null : Statistics.Median(shift.Seconds.Zip(entry.Seconds, (slow, fast) => slow / fast)),
        };
    }

    /// <summary>A kernel on a path, its ceiling, and their samples.</summary>
    private sealed class Entry(KernelCase made, KernelContext context, Func<double> ceiling)
    {
        private int _calls = 1;

        public KernelCase Case => made;

        public KernelContext Context => context;

        /// <summary>Of one call.</summary>
        public List<double> Seconds { get; } = [];

        /// <summary>Units a second, each measured just before.</summary>
        public List<double> Ceilings { get; } = [];

        /// <summary>Warms up, and finds how many calls make a sample of this length.</summary>
        public void Calibrate(double seconds)
        {
            double elapsed = Time();
            while (elapsed < seconds)
            {
                _calls = (int)Math.Clamp(_calls * 1.2 * seconds / Math.Max(elapsed, seconds / 100), _calls + 1, int.MaxValue);
                elapsed = Time();
            }
        }

        public void Sample()
        {
            Ceilings.Add(ceiling());
            Seconds.Add(Time() / _calls);
        }

        private double Time()
        {
            long start = Stopwatch.GetTimestamp();
            for (int call = 0; call < _calls; call++) made.Run(context);
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
    }
}
