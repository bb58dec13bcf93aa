using Equip.Bench.Eval;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Model;

namespace Equip.Bench.Decode;

/// <summary>A model as results name it; outlives the model.</summary>
internal sealed record ModelFacts(string Name, DataType Weights, long WeightBytes, long Parameters, long KvValuesPerToken)
{
    public static ModelFacts Of(LanguageModel model) => new(model.Name, model.WeightType, model.WeightBytes, model.Parameters, 2L * model.Config.Layers * model.Config.KvHeads * model.Config.HeadDim);
}

/// <summary>What computed a result.</summary>
internal sealed record ComputeFacts(Isa Isa, int Threads)
{
    public static ComputeFacts Of(KernelContext context) => new(context.Isa, context.Threads);
}

/// <summary>A test, what ran it, and its samples.</summary>
internal sealed class DecodeRow(DecodeTest test, ModelFacts model, ComputeFacts compute)
{
    private readonly List<DecodeSample> _samples = [];

    /// <summary>The test, its cache resolved.</summary>
    public DecodeTest Test => test;

    public ModelFacts Model => model;

    public ComputeFacts Compute => compute;

    /// <summary>When the first sample began.</summary>
    public DateTimeOffset Started { get; private set; }

    /// <summary>The repetitions so far.</summary>
    public IReadOnlyList<DecodeSample> Samples => _samples;

    /// <summary>Perplexity with this row's cache, and with the full one; null if not asked for.</summary>
    public PerplexityChange? Quality { get; set; }

    /// <summary>Time of each repetition in nanoseconds.</summary>
    public double[] Nanoseconds => [.. Samples.Select(sample => sample.Elapsed.TotalNanoseconds)];

    /// <summary>Tokens a second of each repetition, all sequences together.</summary>
    public double[] TokensPerSecond => [.. Samples.Select(sample => test.Steps * test.Sequences / sample.Elapsed.TotalSeconds)];

    /// <summary>Mean time to the first token, in milliseconds.</summary>
    public double FirstTokenMilliseconds => Samples.Average(sample => sample.FirstToken.TotalMilliseconds);

    /// <summary>Mean time of a decode step (one token of each sequence), in milliseconds; null for a prompt.</summary>
    public double? StepMilliseconds => test.GeneratedTokens > 0 ? Samples.Average(sample => sample.Elapsed.TotalMilliseconds) / test.GeneratedTokens : null;

    /// <summary>Mean eviction work a step (a prompt token or a decode step), in microseconds.</summary>
    public double EvictionMicroseconds => Samples.Average(sample => sample.Eviction.TotalMicroseconds) / test.Steps;

    /// <summary>Eviction work as percent of the time measured.</summary>
    public double EvictionPercent => Samples.Average(sample => 100 * (sample.Eviction / sample.Elapsed));

    /// <summary>Bytes of keys and values as percent of all rows of all tokens seen.</summary>
    public double CachePercent => 100.0 * Samples[^1].KvBytes / ((double)model.KvValuesPerToken * test.Cache.KvType.Size() * (test.Depth.Total(test.Sequences) + ((double)test.Steps * test.Sequences)));

    /// <summary>Mean time a step that decides which tokens are filtered, in microseconds; null where nothing is filtered.</summary>
    public double? FilterMicroseconds => test.Cache.Filter is null || test.GeneratedTokens == 0 ? null : Samples.Average(sample => sample.Filter.TotalMicroseconds) / test.Steps;

    /// <summary>Mean time a decode step of query projection, attention and output projection, in microseconds; null for a prompt.</summary>
    public double? AttentionMicroseconds => test.GeneratedTokens == 0 ? null : Samples.Average(sample => sample.Attention.TotalMicroseconds) / test.Steps;

    /// <summary>The same test with nothing left out of the model, if the plan has it; null for that row itself.</summary>
    public DecodeRow? Whole { get; set; }

    /// <summary>How much faster than <see cref="Whole"/>: the ratio of the median times; null without it.</summary>
    public double? Speedup => Whole is { Samples.Count: > 0 } ? Statistics.Median(Whole.Nanoseconds) / Statistics.Median(Nanoseconds) : null;

    /// <summary>Median time a decode step of the feed-forward blocks, in microseconds; null for a prompt.</summary>
    public double? FeedForwardMicroseconds => test.GeneratedTokens == 0 ? null : Statistics.Median(Samples.Select(sample => sample.Steps!.FeedForward.Time.TotalMicroseconds)) / test.Steps;

    /// <summary>How much faster its feed-forward blocks are than those of <see cref="Whole"/>; null without it.</summary>
    public double? FeedForwardSpeedup => test.Cache.Channels is not null && Whole is { Samples.Count: > 0 } ? Whole.FeedForwardMicroseconds / FeedForwardMicroseconds : null;

    /// <summary>Bytes of weights read a second while decoding; null for a prompt, whose tokens share the reads.</summary>
    public double? WeightBytesPerSecond => StepMilliseconds is { } milliseconds ? model.WeightBytes / milliseconds * 1000 : null;

    public void Add(DecodeSample sample)
    {
        if (_samples.Count == 0) Started = DateTimeOffset.UtcNow - sample.Elapsed;
        _samples.Add(sample);
    }
}

/// <summary>The perplexity of a cache beside that of the full one, over the same windows.</summary>
internal sealed record PerplexityChange(Perplexity Pruned, Perplexity Full)
{
    /// <summary>Percent by which the perplexity is above that of the full cache.</summary>
    public double Percent => ((Pruned.Value / Full.Value) - 1) * 100;
}
