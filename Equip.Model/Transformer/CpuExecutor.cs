using Equip.Kernels.Dispatch;

namespace Equip.Model.Transformer;

/// <summary>Receives the logits <c>[count, vocabulary]</c> of prompt tokens [first, first + count).</summary>
public delegate void LogitsHandler(int first, int count, ReadOnlySpan<float> logits);

/// <summary>Runs a model on the CPU. One thread at a time; steps allocate nothing once warm.</summary>
public sealed class CpuExecutor : IDisposable
{
    /// <summary>Makes an executor; <paramref name="context"/> stays the caller's.</summary>
    public CpuExecutor(LanguageModel model, KernelContext context) => throw new NotImplementedException();

    /// <summary>The model.</summary>
    public LanguageModel Model => throw new NotImplementedException();

    /// <summary>Path and threads.</summary>
    public KernelContext Context => throw new NotImplementedException();

    /// <summary>Time spent so far in eviction work (choosing slots, writing rows, moving or rotating kept keys).</summary>
    public TimeSpan EvictionTime => throw new NotImplementedException();

    /// <summary>An empty sequence.</summary>
    /// <exception cref="ArgumentException">An option is out of its range, or the combination is not supported.</exception>
    public Sequence CreateSequence(CacheOptions options) => throw new NotImplementedException();

    /// <summary>Appends tokens to a sequence.</summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="tokens">At least one token.</param>
    /// <param name="logits"><c>[vocabulary]</c> of the last token; empty if not wanted.</param>
    /// <exception cref="ArgumentException">A token is outside the vocabulary, or a length does not fit.</exception>
    public void Prefill(Sequence sequence, ReadOnlySpan<int> tokens, Span<float> logits) => throw new NotImplementedException();

    /// <summary>Appends tokens and hands over the logits of every one of them, chunk by chunk.</summary>
    public void Prefill(Sequence sequence, ReadOnlySpan<int> tokens, LogitsHandler everyLogits) => throw new NotImplementedException();

    /// <summary>Appends one token to each of several sequences; they share the weight reads.</summary>
    /// <param name="sequences">Different sequences of this executor.</param>
    /// <param name="tokens">One a sequence.</param>
    /// <param name="logits"><c>[sequences, vocabulary]</c>.</param>
    /// <exception cref="ArgumentException">A token is outside the vocabulary, or a length does not fit.</exception>
    public void Decode(ReadOnlySpan<Sequence> sequences, ReadOnlySpan<int> tokens, Span<float> logits) => throw new NotImplementedException();

    /// <summary>Frees the buffers.</summary>
    public void Dispose() => throw new NotImplementedException();
}

/// <summary>One sequence: its cache, its policy and the number of tokens it has seen.</summary>
public sealed class Sequence : IDisposable
{
    /// <summary>Tokens seen so far: the next token's original position.</summary>
    public int Tokens => throw new NotImplementedException();

    /// <summary>The options it was made with, defaults filled in.</summary>
    public CacheOptions Options => throw new NotImplementedException();

    /// <summary>Live rows per KV head, averaged over layers and heads.</summary>
    public double LiveTokens => throw new NotImplementedException();

    /// <summary>Bytes of K and V rows that the cache holds, whole pages counted.</summary>
    public long KvBytes => throw new NotImplementedException();

    /// <summary>Forgets all tokens and returns the pages.</summary>
    public void Reset() => throw new NotImplementedException();

    /// <summary>Returns the memory.</summary>
    public void Dispose() => throw new NotImplementedException();
}
