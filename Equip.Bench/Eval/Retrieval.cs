using System.Text;
using Equip.Model.Transformer;

namespace Equip.Bench.Eval;

/// <summary>Cases answered out of cases asked.</summary>
internal record struct Tally(int Correct, int Total)
{
    public void Count(bool correct)
    {
        Total++;
        if (correct) Correct++;
    }
}

/// <summary>
/// Answers by teacher forcing: a case is correct when the most likely token is the true one at every position of the answer,
/// with the true earlier tokens fed. This holds exactly when greedy decoding gives the answer, and costs one prefill and
/// at most a few steps.
/// </summary>
internal sealed class Retrieval
{
    private static readonly (int First, int Last)[] _ranges = [(0, 149), (150, 349), (350, 699), (700, 999), (1000, 1299), (1300, 1499), (1500, 1799)];

    private readonly SortedDictionary<int, Tally> _byRange = [];
    private readonly StringBuilder _right = new();
    private double _kvBytes;

    /// <summary>All cases.</summary>
    public Tally All { get; private set; }

    /// <summary>Cases by the range of their distance in tokens ("0-149"), nearest first; ranges without a case are left out.</summary>
    public IEnumerable<(string Range, Tally Tally)> ByDistance => _byRange.Select(entry => (NameOf(entry.Key), entry.Value));

    /// <summary>A character a case, in their order: 1 for a correct answer, 0 for a wrong one.</summary>
    public string Right => _right.ToString();

    /// <summary>Bytes of keys and values right after the prompt, whole pages, the mean over the cases.</summary>
    public double KvBytes => _kvBytes / All.Total;

    /// <summary>
    /// Runs all cases with some caches, several cases at a time: each prompt once for all caches, then all answers together.
    /// </summary>
    /// <param name="executor">Runs the model.</param>
    /// <param name="caches">The caches; several must be able to share a prompt.</param>
    /// <param name="cases">The cases.</param>
    /// <param name="together">Cases at a time.</param>
    /// <param name="done">Called with the answers given since the last call, each cache's counted.</param>
    /// <param name="stop">Ends the work at the next step.</param>
    /// <returns>A result for each cache.</returns>
    public static Retrieval[] Measure(
        CpuExecutor executor, IReadOnlyList<CacheOptions> caches, IReadOnlyList<RetrievalCase> cases, int together, Action<int> done, CancellationToken stop)
    {
        Retrieval[] results = [.. caches.Select(_ => new Retrieval())];
        float[] logits = new float[(long)Math.Min(together, cases.Count) * caches.Count * executor.Model.Config.VocabularySize];
        foreach (RetrievalCase[] batch in cases.Chunk(together))
        {
            // By case, then by cache.
            Sequence[] sequences = [.. from one in batch from cache in caches select executor.CreateSequence(cache.ForPrompt(one.Prompt.Length))];
            try
            {
                bool[] correct = new bool[sequences.Length];
                for (int i = 0; i < batch.Length; i++)
                {
                    stop.ThrowIfCancellationRequested();
                    Prompt(executor, sequences.AsSpan(i * caches.Count, caches.Count), batch[i], logits, correct.AsSpan(i * caches.Count, caches.Count));
                    for (int cache = 0; cache < caches.Count; cache++) results[cache]._kvBytes += sequences[(i * caches.Count) + cache].KvBytes;
                }

                Answer(executor, sequences, [.. batch.SelectMany(one => Enumerable.Repeat(one.Answer, caches.Count))], logits, correct);
                for (int i = 0; i < correct.Length; i++) results[i % caches.Count].Count(batch[i / caches.Count].Distance, correct[i]);
                done(correct.Length);
            }
            finally
            {
                foreach (Sequence sequence in sequences) sequence.Dispose();
            }
        }

        return results;
    }

    /// <summary>Adds a case.</summary>
    public void Count(int distance, bool correct)
    {
        Tally all = All;
        all.Count(correct);
        All = all;
        _right.Append(correct ? '1' : '0');
        int range = Array.FindIndex(_ranges, bounds => distance >= bounds.First && distance <= bounds.Last);
        if (range < 0) range = _ranges.Length;
        Tally tally = _byRange.GetValueOrDefault(range);
        tally.Count(correct);
        _byRange[range] = tally;
    }

    private static string NameOf(int range) => range < _ranges.Length ? $"{_ranges[range].First}-{_ranges[range].Last}" : $"{_ranges[^1].Last + 1}-";

    /// <summary>Feeds a prompt and says whether its next token is the answer's first.</summary>
    private static void Prompt(CpuExecutor executor, ReadOnlySpan<Sequence> sequences, RetrievalCase one, float[] logits, Span<bool> correct)
    {
        Span<float> next = logits.AsSpan(0, executor.Model.Config.VocabularySize);
        executor.Prefill(sequences, one.Prompt, next);
        correct.Fill(MostLikely(next) == one.Answer[0]);
    }

    /// <summary>Feeds the answers, as far as they are correct.</summary>
    private static void Answer(CpuExecutor executor, Sequence[] sequences, int[][] answers, float[] logits, bool[] correct)
    {
        int vocabulary = executor.Model.Config.VocabularySize;

        // A case that has failed is decided, and needs no further step.
        for (int position = 1; ; position++)
        {
            int[] open = [.. Enumerable.Range(0, answers.Length).Where(i => correct[i] && answers[i].Length > position)];
            if (open.Length == 0) return;
            executor.Decode([.. open.Select(i => sequences[i])], [.. open.Select(i => answers[i][position - 1])], logits.AsSpan(0, open.Length * vocabulary));
            for (int row = 0; row < open.Length; row++)
                correct[open[row]] = MostLikely(logits.AsSpan(row * vocabulary, vocabulary)) == answers[open[row]][position];
        }
    }

    private static int MostLikely(ReadOnlySpan<float> logits)
    {
        int best = 0;
        for (int i = 1; i < logits.Length; i++)
            if (logits[i] > logits[best]) best = i;
        return best;
    }
}
