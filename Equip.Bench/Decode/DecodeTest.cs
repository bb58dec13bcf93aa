using Equip.Bench.Output;
using Equip.Model.Transformer;

namespace Equip.Bench.Decode;

/// <summary>One measurement: a prompt of some tokens, or some tokens generated, at a depth, with a cache. Exactly one of the two counts is positive.</summary>
internal sealed record DecodeTest
{
    /// <summary>Prompt tokens timed.</summary>
    public int PromptTokens { get; init; }

    /// <summary>Generated tokens timed, of each sequence.</summary>
    public int GeneratedTokens { get; init; }

    /// <summary>Tokens in the sequences before the timed ones.</summary>
    public Depth Depth { get; init; }

    /// <summary>Prompt tokens handed over at once.</summary>
    public int Batch { get; init; } = 2048;

    /// <summary>Sequences that decode together.</summary>
    public int Sequences { get; init; } = 1;

    /// <summary>The cache of each sequence.</summary>
    public required CacheOptions Cache { get; init; }

    /// <summary>Steps timed: prompt tokens, or decode steps.</summary>
    public int Steps => PromptTokens + GeneratedTokens;

    /// <summary>The name llama-bench gives it: pp512, tg128 @ d2048.</summary>
    public string Label => (PromptTokens > 0 ? $"pp{PromptTokens}" : $"tg{GeneratedTokens}") + (Depth == 0 ? "" : $" @ d{Depth}");
}

/// <summary>What one repetition of a <see cref="DecodeTest"/> gave.</summary>
/// <param name="Elapsed">Time of the timed part.</param>
/// <param name="FirstToken">Time from the sequence's start to the logits of the first token after its prompt (all sequences).</param>
/// <param name="Eviction">Part of <paramref name="Elapsed"/> spent in eviction work.</param>
/// <param name="KvBytes">Bytes of K and V at the end, all sequences.</param>
/// <param name="LiveTokens">Live rows per KV head at the end, mean over layers, heads and sequences.</param>
/// <param name="PeakMemory">Peak resident bytes of the process during the repetition, less copies of channels that earlier tests have left.</param>
internal sealed record DecodeSample(TimeSpan Elapsed, TimeSpan FirstToken, TimeSpan Eviction, long KvBytes, double LiveTokens, long PeakMemory)
{
    /// <summary>Part of <see cref="Elapsed"/> spent deciding which tokens are filtered.</summary>
    public TimeSpan Filter { get; init; }

    /// <summary>Part of <see cref="Elapsed"/> that decode steps spent on query projection, attention and output projection.</summary>
    public TimeSpan Attention { get; init; }

    /// <summary>What the decode steps did; null for a prompt.</summary>
    public StepFacts? Steps { get; init; }
}
