using Equip.Bench.Info;
using Equip.Bench.Output;
using Equip.Kernels.Numerics;
using static Equip.Bench.Output.ColumnType;
using static Equip.Bench.Output.ColumnView;

namespace Equip.Bench.Decode;

/// <summary>The columns of decode results. Field names follow llama-bench where it has the figure.</summary>
internal static class DecodeColumns
{
    public static IReadOnlyList<Column<DecodeRow>> All { get; } =
    [
        new("model", "model", Text, Setting, row => row.Model.Name),
        new("weights", "weights", Text, Setting, row => row.Model.Weights.Name()),
        new("weight_bytes", "weight bytes", Integer, Setting, row => row.Model.WeightBytes) { Display = row => Format.Bytes(row.Model.WeightBytes) },
        new("n_params", "parameters", Integer, DataOnly, row => row.Model.Parameters),
        .. SettingColumns.OfCompute<DecodeRow>(row => row.Compute.Isa, row => row.Compute.Threads),
        new("test", "test", Text, Shown, row => row.Test.Label),
        new("n_prompt", "prompt", Integer, DataOnly, row => row.Test.PromptTokens),
        new("n_gen", "generated", Integer, DataOnly, row => row.Test.GeneratedTokens),
        new("n_depth", "depth", Integer, DataOnly, row => row.Test.Depth.First),
        new("n_depth_last", "last depth", Integer, DataOnly, row => row.Test.Depth.Last),
        new("n_batch", "batch", Integer, Setting, row => row.Test.Batch),
        new("n_sequences", "sequences", Integer, Setting, row => row.Test.Sequences),
        .. SettingColumns.OfCache<DecodeRow>(row => row.Test.Cache, row => row.Test.Depth.First + row.Test.PromptTokens),
        new("avg_ts", "tokens/s", Real, Shown, row => Format.Real(row.TokensPerSecond.Average()))
        {
            Bars = true,
            Display = row => Format.Spread(row.TokensPerSecond.Average(), Statistics.Deviation(row.TokensPerSecond)),
        },
        new("stddev_ts", "stddev", Real, DataOnly, row => Format.Real(Statistics.Deviation(row.TokensPerSecond))),
        new("avg_ns", "avg ns", Real, DataOnly, row => Format.Real(row.Nanoseconds.Average())),
        new("stddev_ns", "stddev ns", Real, DataOnly, row => Format.Real(Statistics.Deviation(row.Nanoseconds))),
        new("repetitions", "repetitions", Integer, DataOnly, row => row.Samples.Count),
        new("samples_ns", "samples ns", Nested, DataOnly, row => Format.List(row.Nanoseconds)),
        new("samples_ts", "samples t/s", Nested, DataOnly, row => Format.List(row.TokensPerSecond)),
        new("ttft_ms", "ttft ms", Real, Shown, row => Format.Real(row.FirstTokenMilliseconds)) { Display = row => Format.Number(row.FirstTokenMilliseconds) },
        new("tpot_ms", "tpot ms", Real, Optional, row => Format.Real(row.StepMilliseconds)) { Display = row => Format.Number(row.StepMilliseconds ?? 0) },
        new("evict_us", "evict us", Real, Shown, row => Format.Real(row.EvictionMicroseconds)) { Display = row => Format.Number(row.EvictionMicroseconds) },
        new("evict_percent", "evict %", Real, Shown, row => Format.Real(row.EvictionPercent)) { Show = value => Format.Number(value.GetValue<double>()) },
        .. StepColumns.Of<DecodeRow>(row => row.Samples[^1].Steps),
        new("speedup", "measured", Real, Optional, row => Format.Real(row.Speedup)) { Display = row => Format.Number(row.Speedup ?? 0) },
        .. FilterColumns.Results<DecodeRow>(row => row.Samples[^1].Steps),
        new("attention_us", "attention us", Real, DataOnly, row => Format.Real(row.AttentionMicroseconds)),
        new("filter_us", "filter us", Real, Optional, row => Format.Real(row.FilterMicroseconds)) { Display = row => Format.Number(row.FilterMicroseconds ?? 0) },
        .. ChannelColumns.Results<DecodeRow>(row => row.Samples[^1].Steps),
        new("ffn_us", "ffn us", Real, DataOnly, row => Format.Real(row.FeedForwardMicroseconds)),
        new("ffn_speedup", "ffn measured", Real, Optional, row => Format.Real(row.FeedForwardSpeedup)) { Display = row => Format.Number(row.FeedForwardSpeedup ?? 0) },
        new("kv_bytes", "KV", Integer, Shown, row => row.Samples[^1].KvBytes) { Display = row => Format.Bytes(row.Samples[^1].KvBytes) },
        new("kv_percent_of_full", "KV % of full", Real, Shown, row => Format.Real(row.CachePercent)) { Show = value => Format.Number(value.GetValue<double>()) },
        new("live_tokens", "live tokens", Real, DataOnly, row => Format.Real(row.Samples[^1].LiveTokens)),
        new("weight_bytes_per_s", "weights/s", Real, Optional, row => Format.Real(row.WeightBytesPerSecond)) { Display = row => Format.Rate(row.WeightBytesPerSecond ?? 0) },
        new("peak_rss_bytes", "peak RSS", Integer, Shown, row => row.Samples.Max(sample => sample.PeakMemory)) { Display = row => Format.Bytes(row.Samples.Max(sample => sample.PeakMemory)) },
        new("perplexity", "perplexity", Real, Optional, row => Format.Real(row.Quality?.Pruned.Value)) { Display = row => Format.Perplexity(row.Quality!.Pruned.Value) },
        new("perplexity_change_percent", "change %", Real, Optional, row => Format.Real(row.Quality?.Percent)) { Display = row => Format.Signed(row.Quality!.Percent) },
        new("perplexity_windows", "windows", Integer, DataOnly, row => row.Quality?.Pruned.Windows),
        new("test_time", "time", Text, DataOnly, row => row.Started.ToString("yyyy-MM-ddTHH:mm:ssZ", System.Globalization.CultureInfo.InvariantCulture)),
        new("cpu_info", "cpu", Text, DataOnly, _ => Machine.Processor),
        new("version", "version", Text, DataOnly, _ => Machine.Version),
    ];
}
