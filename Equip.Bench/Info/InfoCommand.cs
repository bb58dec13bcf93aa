using System.CommandLine;
using System.Runtime.InteropServices;
using Equip.Bench.CommandLine;
using Equip.Bench.Output;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Model;
using Equip.Model.Pruning;
using static Equip.Bench.Output.ColumnType;
using static Equip.Bench.Output.ColumnView;

namespace Equip.Bench.Info;

/// <summary>"equip info": this build, this machine, and what they can do.</summary>
internal sealed class InfoCommand : ToolCommand
{
    private const long BandwidthBytes = 1L << 30;

    private readonly Option<bool> _policies = new("--policies") { Description = "List the policies and what else prunes instead: the paper, whether tokens are lost, whether the choice depends on the question, when it is made, the positions it works under, and what the paper leaves open." };
    private readonly Option<bool> _bandwidth = new("--bandwidth") { Description = "Also measure the read bandwidth of memory over 1 GiB, with one thread and with all, in bytes a second (a few seconds)." };
    private readonly ComputeSettings _compute = new();
    private readonly OutputSettings _output = new();

    public InfoCommand()
        : base(
            "info",
            "Show the version, the machine, the code paths and the default model.",
            "",
            """
              equip info
              equip info --policies -o json
              equip info --bandwidth -t 2
            """) => AddAll([_policies, _bandwidth, .. _compute.All, _output.Option]);

    protected override int Run(ParseResult parsed, ToolContext context)
    {
        if (parsed.GetValue(_policies))
        {
            using ResultTable<PolicyInfo> policies = _output.Open(parsed, "policies", _policyColumns, context);
            foreach (PolicyInfo info in EvictionPolicies.All.Append(TokenFilterOptions.Description).Concat(ChannelOptions.Methods)) policies.Add(info);
            return Cli.Success;
        }

        using KernelContext kernels = _compute.Open(parsed);
        Facts facts = new(kernels.Isa, kernels.Threads);
        if (parsed.GetValue(_bandwidth))
        {
            using WorkerPool one = new(1);
            facts = facts with { OneThread = ReadBandwidth.Measure(one, BandwidthBytes), AllThreads = ReadBandwidth.Measure(kernels.Pool, BandwidthBytes) };
        }

        using ResultTable<Facts> results = _output.Open(parsed, "info", _columns, context);
        results.Add(facts);
        return Cli.Success;
    }

    private static readonly Column<PolicyInfo>[] _policyColumns =
    [
        new("policy", "policy", Text, Shown, info => info.Name),
        new("paper", "paper", Text, Shown, info => info.Paper),
        new("lossy", "lossy", Text, Shown, info => YesNo(info.Lossy)),
        new("query_aware", "query-aware", Text, Shown, info => YesNo(info.QueryAware)),
        new("acts_at_prefill", "at prefill", Text, Shown, info => YesNo(info.ActsAtPrefill)),
        new("acts_at_decode", "at decode", Text, Shown, info => YesNo(info.ActsAtDecode)),
        new("positions", "positions", Text, Shown, info => info.Positions),
        new("defaults", "defaults", Text, Shown, info => info.Defaults),
        new("guesses", "filled in here", Text, Shown, info => info.Guesses),
    ];

    private static readonly Column<Facts>[] _columns =
    [
        new("version", "equip", Text, Line, _ => Machine.Version),
        new("runtime", "runtime", Text, Line, _ => RuntimeInformation.FrameworkDescription),
        new("system", "system", Text, Line, _ => $"{RuntimeInformation.OSDescription}, {RuntimeInformation.ProcessArchitecture}"),
        new("cpu_info", "cpu", Text, Line, _ => Machine.Processor),
        new("processors", "processors", Integer, Line, _ => Environment.ProcessorCount),
        new("threads", "threads", Integer, Line, facts => facts.Threads),
        new("isa", "isa", Text, Line, facts => IsaRegistry.Name(facts.Isa)),
        new("isa_supported", "isa supported", Text, Line, _ => string.Join(' ', IsaRegistry.Supported.Select(IsaRegistry.Name))),
        new("backends", "backends", Text, Line, _ => string.Join(' ', ComputeSettings.Backends.Names)),
        new("policies", "policies", Text, Line, _ => string.Join(' ', EvictionPolicies.Names)),
        new("memory_bytes", "memory", Integer, Line, _ => Machine.Memory) { Display = _ => Format.Bytes(Machine.Memory) },
        new("default_model", "default model", Text, Line, _ => LanguageModel.DefaultDirectory),
        new("read_bytes_per_s_1_thread", "read bandwidth, 1 thread", Real, Line, facts => Format.Real(facts.OneThread)) { Display = facts => Format.Rate(facts.OneThread ?? 0) },
        new("read_bytes_per_s", "read bandwidth, all threads", Real, Line, facts => Format.Real(facts.AllThreads)) { Display = facts => Format.Rate(facts.AllThreads ?? 0) },
    ];

    private static string YesNo(bool value) => value ? "yes" : "no";

    private sealed record Facts(Isa Isa, int Threads)
    {
        public double? OneThread { get; init; }

        public double? AllThreads { get; init; }
    }
}
