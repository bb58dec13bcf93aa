using System.Runtime.CompilerServices;
using Equip.Model.Tokenizer;

namespace Equip.Model.Transformer;

/// <summary>How a text is continued.</summary>
public sealed record GenerationOptions
{
    /// <summary>At most this many tokens; 1 or more.</summary>
    public int MaxTokens { get; init; } = 128;

    /// <summary>Chooses the tokens; greedy unless set. Its random numbers go on where they are.</summary>
    public Sampler Sampler { get; init; } = new();

    /// <summary>The tokens to stop at; null for the model's own, empty to go on to <see cref="MaxTokens"/>.</summary>
    public IReadOnlyCollection<int>? StopTokens { get; init; }
}

/// <summary>One generated token.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Text">
/// The text it completes: whole characters only, so it may be empty. The pieces of a run joined are the text of its tokens.
/// Always empty where the model has no tokenizer.
/// </param>
public readonly record struct GeneratedToken(int Id, string Text);

/// <summary>Continues a text token by token.</summary>
public static class Generator
{
    /// <summary>Appends some tokens to a sequence; logits of the last one come back.</summary>
    internal delegate void Append(ReadOnlySpan<int> tokens, Span<float> logits);

    /// <summary>Appends <paramref name="prompt"/> to the sequence and returns what follows it, token by token as they are made.</summary>
    /// <param name="executor">Runs the model; used by nobody else until the last token is there.</param>
    /// <param name="sequence">A sequence of <paramref name="executor"/>, empty or not.</param>
    /// <param name="prompt">At least one token.</param>
    /// <param name="options">How to sample and when to stop.</param>
    /// <param name="cancellation">Checked before every token.</param>
    /// <returns>
    /// The tokens. A stop token is the last one and has no text of its own. The last token is not appended to the sequence: to
    /// go on after it, start the next prompt with it.
    /// </returns>
    /// <exception cref="ArgumentException">An argument is out of its range.</exception>
    /// <exception cref="OperationCanceledException">While the tokens are read: <paramref name="cancellation"/> was requested.</exception>
    public static IEnumerable<GeneratedToken> Generate(CpuExecutor executor, Sequence sequence, ReadOnlyMemory<int> prompt, GenerationOptions options, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(executor);
        ArgumentNullException.ThrowIfNull(sequence);
        ArgumentNullException.ThrowIfNull(options);
        if (prompt.IsEmpty) throw new ArgumentException("prompt: got 0 tokens, expected at least 1", nameof(prompt));
        if (options.MaxTokens < 1) throw new ArgumentOutOfRangeException(nameof(options), options.MaxTokens, $"MaxTokens: got {options.MaxTokens}, expected 1 or more");

        LanguageModel model = executor.Model;
        Sequence[] sequences = [sequence];
        return Run(
            (tokens, logits) => executor.Prefill(sequence, tokens, logits),
            (tokens, logits) => executor.Decode(sequences, tokens, logits),
            model.Config.VocabularySize,
            model.Tokenizer,
            options.StopTokens ?? model.Generation.EosTokenIds,
            prompt,
            options,
            cancellation);
    }

    /// <summary>The same for text. The tokenizer's special tokens, such as bos, are added where the sequence is empty.</summary>
    /// <exception cref="InvalidOperationException">The model has no tokenizer.</exception>
    /// <exception cref="ArgumentException">An argument is out of its range.</exception>
    public static IEnumerable<GeneratedToken> Generate(CpuExecutor executor, Sequence sequence, string prompt, GenerationOptions options, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(executor);
        ArgumentNullException.ThrowIfNull(sequence);
        BpeTokenizer tokenizer = executor.Model.Tokenizer ?? throw new InvalidOperationException($"{executor.Model.Name} has no tokenizer, expected a prompt of token ids");
        return Generate(executor, sequence, tokenizer.Encode(prompt, addSpecialTokens: sequence.Tokens == 0), options, cancellation);
    }

    /// <summary>The same without blocking the caller: each token is made on the thread pool.</summary>
    /// <exception cref="InvalidOperationException">The model has no tokenizer.</exception>
    /// <exception cref="ArgumentException">An argument is out of its range.</exception>
    public static IAsyncEnumerable<GeneratedToken> GenerateAsync(CpuExecutor executor, Sequence sequence, string prompt, GenerationOptions options, CancellationToken cancellation = default) =>
        OnThreadPool(Generate(executor, sequence, prompt, options, cancellation), cancellation);

    /// <summary>The loop itself, apart from what runs the model.</summary>
    internal static IEnumerable<GeneratedToken> Run(
        Append prefill, Append decode, int vocabularySize, BpeTokenizer? tokenizer, IReadOnlyCollection<int> stopTokens, ReadOnlyMemory<int> prompt, GenerationOptions options, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        float[] logits = new float[vocabularySize];
        prefill(prompt.Span, logits);

        StreamingDecoder? text = tokenizer?.CreateStreamingDecoder();
        // Embeddings are often padded beyond the tokenizer's last id; those rows were never trained.
        int choices = Math.Min(vocabularySize, tokenizer?.VocabularySize ?? vocabularySize);
        int[] token = new int[1];
        for (int made = 1; ; made++)
        {
            cancellation.ThrowIfCancellationRequested();
            token[0] = options.Sampler.Sample(logits.AsSpan(0, choices));
            bool stops = stopTokens.Contains(token[0]), isLast = stops || made == options.MaxTokens;
            string piece = stops ? "" : text?.Add(token[0]) ?? "";
            yield return new GeneratedToken(token[0], isLast ? piece + text?.Flush() : piece);
            if (isLast) yield break;
            decode(token, logits);
        }
    }

    internal static async IAsyncEnumerable<GeneratedToken> OnThreadPool(IEnumerable<GeneratedToken> tokens, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        using IEnumerator<GeneratedToken> enumerator = tokens.GetEnumerator();
        while (await Task.Run(enumerator.MoveNext, cancellation).ConfigureAwait(false)) yield return enumerator.Current;
    }
}
