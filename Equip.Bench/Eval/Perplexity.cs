using System.Numerics;
using System.Runtime.InteropServices;
using Equip.Kernels.Eviction;
using Equip.Model.Transformer;

namespace Equip.Bench.Eval;

/// <summary>How well a model predicts a text.</summary>
/// <param name="NegativeLogLikelihood">Sum over the scored tokens, in nats.</param>
/// <param name="Tokens">Tokens scored.</param>
/// <param name="Windows">Windows they lie in.</param>
internal sealed record Perplexity(double NegativeLogLikelihood, long Tokens, int Windows)
{
    // Windows decoded together: enough to share the weight reads, few enough to keep their caches small.
    private const int SideBySide = 16;

    /// <summary>exp of the mean negative log-likelihood.</summary>
    public double Value => Math.Exp(NegativeLogLikelihood / Tokens);

    /// <summary>
    /// Feeds every window, from an empty sequence each, through a cache and scores every token after the first, or after the
    /// prompt. Where a prompt's tokens see each other exactly as they would one by one (nothing is evicted, or a sliding window
    /// is) a window is one prompt; under any other policy, and with a filter, the windows are decoded token by token, several side by side.
    /// </summary>
    /// <param name="executor">Runs the model.</param>
    /// <param name="cache">The cache of every window.</param>
    /// <param name="windows">The text.</param>
    /// <param name="promptTokens">
    /// Tokens of a window, bos included, that enter as one prompt; the rest are decode steps, and only the targets of decode
    /// steps are scored (not the token that follows the prompt). 0 for no prompt.
    /// </param>
    /// <param name="windowDone">Called after each window.</param>
    /// <param name="stop">Ends the work at the next step.</param>
    /// <exception cref="ArgumentException">The policy prunes once, after a prompt, and there is none; or the prompt leaves nothing to score.</exception>
    public static Perplexity Measure(CpuExecutor executor, CacheOptions cache, HeldoutWindows windows, int promptTokens, Action windowDone, CancellationToken stop)
    {
        if (!CanMeasure(cache, promptTokens)) throw new ArgumentException($"policy: {cache.Policy} prunes once, after a prompt, and there is no prompt", nameof(cache));
        int most = windows.Sequences[0].Length - 2;
        if (promptTokens < 0 || promptTokens > most) throw new ArgumentOutOfRangeException(nameof(promptTokens), promptTokens, $"promptTokens: got {promptTokens}, expected 0 to {most}");
        IEvictionPolicy policy = PolicyOf(cache);
        // What decode steps leave out, a prompt's tokens would not.
        bool samePrompted = cache is { Filter: null, Channels: null } && (policy.Mask.Window > 0 || policy.Info is { Lossy: false });
        return samePrompted
            ? AsPrompts(executor, cache, windows, promptTokens, windowDone, stop)
            : TokenByToken(executor, cache, windows, promptTokens, windowDone, stop);
    }

    /// <summary>Whether a policy does to a text what perplexity can see: most that prune once, after a prompt, need one.</summary>
    public static bool CanMeasure(CacheOptions cache, int promptTokens) => promptTokens > 0 || (cache.Channels is null && PolicyOf(cache).Info is { Lossy: false } or { ActsAtDecode: true });

    /// <summary>-log softmax(logits)[token], in nats: log of the sum of exp(x - max), plus max, minus the token's logit.</summary>
    public static double NegativeLogProbability(ReadOnlySpan<float> logits, int token)
    {
        float max = float.NegativeInfinity;
        foreach (float logit in logits) max = Math.Max(max, logit);
        ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(logits);
        Vector<float> sums = Vector<float>.Zero, shift = new(max);
        foreach (Vector<float> vector in vectors) sums += Vector.Exp(vector - shift);
        double sum = Vector.Sum(sums);
        foreach (float logit in logits[(vectors.Length * Vector<float>.Count)..]) sum += Math.Exp(logit - max);
        return Math.Log(sum) + max - logits[token];
    }

    private static IEvictionPolicy PolicyOf(CacheOptions cache) =>
        EvictionPolicies.Create(cache.Policy, cache.ForPolicy());

    private static Perplexity AsPrompts(CpuExecutor executor, CacheOptions cache, HeldoutWindows windows, int promptTokens, Action windowDone, CancellationToken stop)
    {
        int vocabulary = executor.Model.Config.VocabularySize;
        double sum = 0;
        long scored = 0;
        using Sequence sequence = executor.CreateSequence(cache);
        foreach (int[] window in windows.Sequences)
        {
            stop.ThrowIfCancellationRequested();
            sequence.Reset();
            executor.Prefill(sequence, window.AsSpan(0, window.Length - 1), (first, count, logits) =>
            {
                for (int i = Math.Max(0, promptTokens - first); i < count; i++, scored++)
                    sum += NegativeLogProbability(logits.Slice(i * vocabulary, vocabulary), window[first + i + 1]);
            });
            windowDone();
        }

        return new Perplexity(sum, scored, windows.Sequences.Count);
    }

    private static Perplexity TokenByToken(CpuExecutor executor, CacheOptions cache, HeldoutWindows windows, int promptTokens, Action windowDone, CancellationToken stop)
    {
        int vocabulary = executor.Model.Config.VocabularySize;
        double sum = 0;
        long scored = 0;
        foreach (int[][] batch in windows.Sequences.Chunk(SideBySide))
        {
            Sequence[] sequences = [.. batch.Select(_ => executor.CreateSequence(cache))];
            float[] logits = new float[(long)batch.Length * vocabulary];
            try
            {
                for (int i = 0; promptTokens > 0 && i < batch.Length; i++) executor.Prefill(sequences[i], batch[i].AsSpan(0, promptTokens), []);
                for (int position = promptTokens; position + 1 < batch[0].Length; position++)
                {
                    stop.ThrowIfCancellationRequested();
                    executor.Decode(sequences, [.. batch.Select(window => window[position])], logits);
                    for (int i = 0; i < batch.Length; i++) sum += NegativeLogProbability(logits.AsSpan(i * vocabulary, vocabulary), batch[i][position + 1]);
                    scored += batch.Length;
                }
            }
            finally
            {
                foreach (Sequence sequence in sequences) sequence.Dispose();
            }

            foreach (int[] _ in batch) windowDone();
        }

        return new Perplexity(sum, scored, windows.Sequences.Count);
    }
}
