using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Filters;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using Equip.Kernels.Dispatch;

namespace Equip.Bench.Kernels;

/// <summary>The kernel benchmarks of this assembly, run by BenchmarkDotNet.</summary>
internal static class KernelBenchmarks
{
    // In this process: a project to build beside the tool exists only in the repository. Short, because there are many; any of
    // these can be given again and then counts.
    private static readonly string[][] _defaults = [["--inProcess"], ["--job", "short"], ["--iterationTime", "100"]];
    private static readonly string[][] _replacedBy = [["-i", "-r", "--runtimes", "--inProcess", "--cli", "--corerun"], ["-j", "--job"], ["--iterationTime"]];

    /// <summary>Runs BenchmarkDotNet's command line over the assembly.</summary>
    /// <returns>The exit code: 0 if everything asked for was measured.</returns>
    public static int Run(string[] args)
    {
        IConfig config = DefaultConfig.Instance
            .AddFilter(new SimpleFilter(benchmark => IsaRegistry.IsSupported(IsaRegistry.Parse(benchmark.Descriptor.WorkloadMethod.Name))));
        IEnumerable<Summary> summaries = BenchmarkSwitcher.FromAssembly(typeof(KernelBenchmarks).Assembly).Run([.. args, .. Missing(args)], config);
        return summaries.All(summary => !summary.HasCriticalValidationErrors && summary.Reports.All(report => report.Success)) ? 0 : 1;
    }

    private static IEnumerable<string> Missing(string[] args) =>
        Enumerable.Range(0, _defaults.Length).Where(i => !args.Intersect(_replacedBy[i], StringComparer.OrdinalIgnoreCase).Any()).SelectMany(i => _defaults[i]);
}
