using System.CommandLine;
using System.Globalization;
using Equip.Bench.CommandLine;
using Equip.Bench.Kernels.Roofline;
using Equip.Bench.Output;
using Equip.Kernels.Dispatch;

namespace Equip.Bench.Kernels;

/// <summary>"equip kernels": the kernel benchmarks, with BenchmarkDotNet's own arguments, or all kernels beside the machine's limits.</summary>
internal sealed class KernelsCommand : ToolCommand
{
    private readonly Option<bool> _roofline = new("--roofline") { Description = "Instead: every kernel beside what the machine can read or compute, in about a minute." };
    private readonly ListOption<Isa> _isa = ListOptions.Names(["--isa"], "Code paths of the roofline. auto adds AVX2 beside AVX-512 where operands come from memory.", ComputeSettings.Isas);
    private readonly ListOption<int> _threads = ListOptions.Numbers(
        ["--threads", "-t"], "Threads of the roofline.", Environment.ProcessorCount.ToString(CultureInfo.InvariantCulture), 1, WorkerPool.MaxThreads, one: true);

    private readonly OutputSettings _output = new();

    public KernelsCommand()
        : base(
            "kernels",
            "Measure the kernels: BenchmarkDotNet, or --roofline.",
            """
              Without --roofline, everything is BenchmarkDotNet's, except that it runs in this process, with a short job and
              iterations of 100 ms unless told otherwise. Put the arguments after -- where equip has an option of that name:
              equip kernels -- --help lists them. Each benchmark checks its kernel's result first.

              GB/s        bytes that must be read and written a second, each once (what a write fetches first is not counted)
              ceiling     what was measured just before each sample: reading 1 GiB, or as much as the kernel's operands if they
                          stay in cache, with as many threads; multiply-adds in registers on the same path (GFLOP/s)
              fraction    of the ceiling; the median of pairs
              x shift     how many times as long it takes to move the cache by one row
            """,
            """
              equip kernels --list flat
              equip kernels --filter '*Rope*' --memory
              equip kernels --roofline -o json > roofline.json
              equip kernels -- --help
            """)
    {
        TreatUnmatchedTokensAsErrors = false;
        AddAll([_roofline, _isa, _threads, _output.Option]);
    }

    protected override int Run(ParseResult parsed, ToolContext context)
    {
        if (parsed.GetValue(_roofline))
        {
            if (parsed.UnmatchedTokens.Count > 0) throw new UsageException($"--roofline: takes no arguments of BenchmarkDotNet, got '{parsed.UnmatchedTokens[0]}'");
            RunRoofline(parsed, context);
            return Cli.Success;
        }

        foreach (Option option in new Option[] { _isa, _threads, _output.Option })
            if (parsed.GetResult(option) is { Implicit: false }) throw new UsageException($"{option.Name}: belongs to --roofline; BenchmarkDotNet's option of that name goes after --");
        return KernelBenchmarks.Run([.. parsed.UnmatchedTokens]);
    }

    private void RunRoofline(ParseResult parsed, ToolContext context)
    {
        List<Isa> paths = [.. _isa.Values(parsed).Select(IsaRegistry.Resolve).Distinct()];
        int everywhere = paths.Count;
        if (_isa.Values(parsed) is [Isa.Auto] && paths is [Isa.Avx512]) paths.Add(Isa.Avx2);
        List<KernelContext> contexts = [.. paths.Select(isa => new KernelContext(isa, _threads.Single(parsed)))];
        try
        {
            RooflinePlan plan = RooflinePlan.Full;
            using RooflineRun run = new(plan, contexts, everywhere);
            IReadOnlyList<RooflineRow> rows = [];
            ProgressDisplay.Run(context, plan.Groups.Count, "", report =>
            {
                int done = 0;
                rows = run.Measure(name => report(done++ == 0 ? 0 : 1, name), context.Stop);
            });
            using ResultTable<RooflineRow> table = _output.Open(parsed, "roofline", RooflineRow.Columns(run.Ceilings, contexts[0]), context, new RooflineJsonWriter());
            foreach (RooflineRow row in rows) table.Add(row);
        }
        finally
        {
            foreach (KernelContext made in contexts) made.Dispose();
        }
    }
}
