using System.CommandLine;
using Equip.Bench.CommandLine;
using Equip.Bench.Output;
using Equip.Kernels.Dispatch;
using Equip.Kernels.KvCache;
using Equip.Model;
using Equip.Model.Transformer;

namespace Equip.Bench.Decode;

/// <summary>"equip" without a command: the default model, full against pruned, in a few seconds.</summary>
internal sealed class ComparisonCommand : ToolCommand
{
    private const int Depth = 1024, Generated = 128, Repetitions = 3, Windows = 4;

    private static readonly CacheOptions[] _caches =
    [
        new() { Policy = CacheSettings.Full },
        new() { Policy = "streaming", Budget = 256, Update = CacheUpdate.FusedShift },
        new() { Policy = "streaming", Budget = 256 },
        new() { Policy = "streaming", Budget = 64 },
        new() { Policy = "h2o", Budget = 256 },
    ];

    public ComparisonCommand()
        : base(
            "compare",
            "A short comparison on the default model.",
            "",
            """
              equip                                               the default model, full against pruned, in under a minute
              equip run --prompt "It was a cold night, and"       continue a text
              equip decode --policy full,streaming --budget 512   tokens per second
              equip eval perplexity --budget 128,256,512          what it costs in quality
              equip info                                          this machine and this build
            """)
    {
    }

    protected override int Run(ParseResult parsed, ToolContext context)
    {
        using KernelContext kernels = new();
        DecodePlan plan = new()
        {
            Models = [() => LanguageModel.Load(LanguageModel.DefaultDirectory)],
            Contexts = [kernels],
            Tests = DecodeCommand.Combine(_caches, [], [Generated], [Depth]),
            Repetitions = Repetitions,
            QualityWindows = Windows,
        };
        context.Error.WriteLine(
            $"Generating {Generated} tokens after {Depth} with the default model, {Repetitions} times, and scoring the first {Windows} windows of the held-out text (perplexity).");
        using (ResultTable<DecodeRow> results = new("decode", DecodeColumns.All, new MarkdownWriter(), context.Output))
            ProgressDisplay.Run(context, plan.Steps, "loading", done => plan.Run(results, what => done(1, what), context.Stop));
        context.Error.WriteLine("Commands and options: equip --help");
        return Cli.Success;
    }
}
