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

    /// <summary>All cases.</summary>
    public Tally All { get; private set; }

    /// <summary>Cases by the range of their distance in tokens ("0-149"), nearest first; ranges without a case are left out.</summary>
    public IEnumerable<(string Range, Tally Tally)> ByDistance => _byRange.Select(entry => (NameOf(entry.Key), entry.Value));

    /// <summary>Runs all cases with one cache, some at a time: their prompts one by one, their answers together.</summary>
    public static Retrieval Measure(
        CpuExecutor executor, CacheOptions cache, IReadOnlyList<RetrievalCase> cases, int together, Action<int> casesDone, CancellationToken stop)
    {
        Retrieval result = new();
        List<Sequence> sequences = [];
        float[] logits = new float[(long)together * executor.Model.Config.VocabularySize];
        try
        {
            while (sequences.Count < Math.Min(together, cases.Count)) sequences.Add(executor.CreateSequence(cache));
            foreach (RetrievalCase[] batch in cases.Chunk(together))
            {
                bool[] correct = Answer(executor, sequences, batch, logits, stop);
                for (int i = 0; i < batch.Length; i++) result.Count(batch[i].Distance, correct[i]);
                casesDone(batch.Length);
            }
        }
        finally
        {
            foreach (Sequence sequence in sequences) sequence.Dispose();
        }

        return result;
    }

    /// <summary>Adds a case.</summary>
    public void Count(int distance, bool correct)
    {
        Tally all = All;
        all.Count(correct);
        All = all;
        int range = Array.FindIndex(_ranges, bounds => distance >= bounds.First && distance <= bounds.Last);
        if (range < 0) range = _ranges.Length;
        Tally tally = _byRange.GetValueOrDefault(range);
        tally.Count(correct);
        _byRange[range] = tally;
    }

    private static string NameOf(int range) => range < _ranges.Length ? $"{_ranges[range].First}-{_ranges[range].Last}" : $"{_ranges[^1].Last + 1}-";

    private static bool[] Answer(CpuExecutor executor, List<Sequence> sequences, RetrievalCase[] batch, float[] logits, CancellationToken stop)
    {
        int vocabulary = executor.Model.Config.VocabularySize;
        bool[] correct = new bool[batch.Length];
        for (int i = 0; i < batch.Length; i++)
        {
            stop.ThrowIfCancellationRequested();
            sequences[i].Reset();
            executor.Prefill(sequences[i], batch[i].Prompt, logits.AsSpan(0, vocabulary));
            correct[i] = MostLikely(logits.AsSpan(0, vocabulary)) == batch[i].Answer[0];
        }

        // A case that has failed is decided, and needs no further step.
        for (int position = 1; ; position++)
        {
            int[] open = [.. Enumerable.Range(0, batch.Length).Where(i => correct[i] && batch[i].Answer.Length > position)];
            if (open.Length == 0) return correct;
            executor.Decode([.. open.Select(i => sequences[i])], [.. open.Select(i => batch[i].Answer[position - 1])], logits.AsSpan(0, open.Length * vocabulary));
            for (int row = 0; row < open.Length; row++)
                correct[open[row]] = MostLikely(logits.AsSpan(row * vocabulary, vocabulary)) == batch[open[row]].Answer[position];
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
