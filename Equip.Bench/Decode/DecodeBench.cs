using System.Diagnostics;
using Equip.Bench.Info;
using Equip.Bench.Output;
using Equip.Model.Transformer;

namespace Equip.Bench.Decode;

/// <summary>
/// Runs tests on one executor. Tokens are random (the same for every test), neither tokenising nor sampling is timed, and
/// the depth is filled by an untimed prefill.
/// </summary>
internal sealed class DecodeBench(CpuExecutor executor)
{
    private const int WarmUpTokens = 4;

    private readonly int _vocabulary = executor.Model.Config.VocabularySize;

    /// <summary>
    /// Runs what the test runs, shortened: code is compiled, pages are mapped, caches and threads awake. The depth is enough
    /// to reach the policy's eviction.
    /// </summary>
    public void WarmUp(DecodeTest test, CancellationToken stop)
    {
        _ = Measure(test with { Depth = test.Depth.AtMost(test.Cache.Budget + WarmUpTokens), GeneratedTokens = Math.Min(test.GeneratedTokens, WarmUpTokens) }, stop);
    }

    /// <summary>Runs the test once, from empty sequences.</summary>
    public DecodeSample Measure(DecodeTest test, CancellationToken stop)
    {
        PeakMemory.Reset();
        Random random = new(1);
        Sequence[] sequences = new Sequence[test.Sequences];
        try
        {
            for (int i = 0; i < sequences.Length; i++) sequences[i] = executor.CreateSequence(test.Cache);
            float[] logits = new float[(long)test.Sequences * _vocabulary];
            int[][] depth = [.. sequences.Select((_, i) => Tokens(random, test.Depth.Of(i, sequences.Length), first: true))];
            Stopwatch clock = Stopwatch.StartNew();
            for (int i = 0; i < sequences.Length; i++) Fill(sequences[i], depth[i], test.Batch, logits, stop);
            TimeSpan filled = clock.Elapsed, eviction = executor.EvictionTime, filter = executor.FilterTime, attention = executor.AttentionBlockTime;
            StepFacts before = StepFacts.Of(executor);
            (TimeSpan elapsed, TimeSpan first) = test.PromptTokens > 0
                ? Prompt(test, sequences, random, logits, stop)
                : Generate(test, sequences, random, logits, stop);
            return new DecodeSample(
                elapsed,
                test.PromptTokens > 0 || test.Depth == 0 ? first : filled,
                executor.EvictionTime - eviction,
                sequences.Sum(sequence => sequence.KvBytes),
                sequences.Average(sequence => sequence.LiveTokens),
                PeakMemory.Read() - executor.IdleCopyBytes)
            {
                Filter = executor.FilterTime - filter,
                Attention = executor.AttentionBlockTime - attention,
                Steps = StepFacts.Since(before, executor),
            };
        }
        finally
        {
            foreach (Sequence? sequence in sequences) sequence?.Dispose();
        }
    }

    private (TimeSpan Elapsed, TimeSpan First) Prompt(DecodeTest test, Sequence[] sequences, Random random, float[] logits, CancellationToken stop)
    {
        int[][] prompts = [.. sequences.Select(_ => Tokens(random, test.PromptTokens, first: test.Depth == 0))];
        Stopwatch clock = Stopwatch.StartNew();
        for (int i = 0; i < sequences.Length; i++) Fill(sequences[i], prompts[i], test.Batch, logits, stop);
        return (clock.Elapsed, clock.Elapsed);
    }

    private (TimeSpan Elapsed, TimeSpan First) Generate(DecodeTest test, Sequence[] sequences, Random random, float[] logits, CancellationToken stop)
    {
        int[] steps = Tokens(random, test.GeneratedTokens * sequences.Length, first: test.Depth == 0);
        TimeSpan first = default;
        Stopwatch clock = Stopwatch.StartNew();
        for (int step = 0; step < test.GeneratedTokens; step++)
        {
            executor.Decode(sequences, steps.AsSpan(step * sequences.Length, sequences.Length), logits);
            if (step == 0) first = clock.Elapsed;
            stop.ThrowIfCancellationRequested();
        }

        return (clock.Elapsed, first);
    }

    private void Fill(Sequence sequence, ReadOnlySpan<int> tokens, int chunk, float[] logits, CancellationToken stop)
    {
        while (tokens.Length > 0)
        {
            int count = Math.Min(chunk, tokens.Length);
            // Only the prompt's last token needs its logits.
            bool last = count == tokens.Length;
            executor.Prefill(sequence, tokens[..count], last ? logits.AsSpan(0, _vocabulary) : [], final: last || !sequence.TakesParts);
            tokens = tokens[count..];
            stop.ThrowIfCancellationRequested();
        }
    }

    private int[] Tokens(Random random, int count, bool first)
    {
        int[] tokens = new int[count];
        for (int i = 0; i < count; i++) tokens[i] = random.Next(_vocabulary);
        // Models are trained with bos in front and put their attention sink there.
        if (first && count > 0 && executor.Model.Generation.BosTokenId is { } bos) tokens[0] = bos;
        return tokens;
    }
}
