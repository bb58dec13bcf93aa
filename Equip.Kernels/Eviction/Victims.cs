using System.Numerics;
using System.Runtime.InteropServices;
using Equip.Kernels.KvCache;

namespace Equip.Kernels.Eviction;

/// <summary>Finds the slot that holds the token a policy likes least.</summary>
internal static class Victims
{
    /// <summary>
    /// The live slot with the lowest score among tokens at positions before <paramref name="before"/>, or -1 if there is none.
    /// NaN counts as lowest. Among equals the youngest goes, as in a top-k whose ties go to the lower position.
    /// </summary>
    /// <param name="head">The head.</param>
    /// <param name="scores">By slot.</param>
    /// <param name="before">The first position that stays in any case.</param>
    /// <param name="received">By slot, what every live slot's score first grows by, in the same pass; empty for nothing.</param>
    public static int Lowest(HeadCache head, Span<float> scores, int before, ReadOnlySpan<float> received = default)
    {
        Lanes lanes = new(before);
        Best best = new(-1, float.PositiveInfinity, -1);
        ReadOnlySpan<int> positions = head.Positions;
        for (int page = 0; page < head.PageCount; page++)
        {
            int first = page * head.PageTokens, live = head.LiveInPage(page);
            Span<float> some = scores.Slice(first, live);
            ReadOnlySpan<float> more = received.IsEmpty ? default : received.Slice(first, live);
            Span<Vector<float>> wideScores = MemoryMarshal.Cast<float, Vector<float>>(some);
            ReadOnlySpan<Vector<float>> wideMore = MemoryMarshal.Cast<float, Vector<float>>(more);
            ReadOnlySpan<Vector<int>> widePositions = MemoryMarshal.Cast<int, Vector<int>>(positions.Slice(first, live));
            for (int i = 0; i < wideScores.Length; i++)
            {
                if (!more.IsEmpty) wideScores[i] += wideMore[i];
                lanes.Add(wideScores[i], widePositions[i], first + (i * Vector<int>.Count));
            }

            for (int i = wideScores.Length * Vector<int>.Count; i < live; i++)
            {
                if (!more.IsEmpty) some[i] += more[i];
                if (positions[first + i] < before) best = best.Or(new(first + i, float.IsNaN(some[i]) ? float.NegativeInfinity : some[i], positions[first + i]));
            }
        }

        for (int i = 0; i < Vector<int>.Count; i++) best = best.Or(new(lanes.Slots[i], lanes.Scores[i], lanes.Positions[i]));
        return best.Slot;
    }

    /// <summary>A candidate; none has slot and position -1.</summary>
    private readonly record struct Best(int Slot, float Score, int Position)
    {
        public Best Or(Best other) => other.Score < Score || (other.Score == Score && other.Position > Position) ? other : this;
    }

    /// <summary>The best of every lane so far.</summary>
    private struct Lanes(int before)
    {
        private static readonly Vector<int> _steps = Vector.CreateSequence(0, 1);

        private readonly Vector<int> _before = new(before);

        public Vector<float> Scores = new(float.PositiveInfinity);

        public Vector<int> Positions = new(-1);

        public Vector<int> Slots = new(-1);

        public void Add(Vector<float> scores, Vector<int> positions, int slot)
        {
            scores = Vector.ConditionalSelect(Vector.Equals(scores, scores), scores, new Vector<float>(float.NegativeInfinity));
            Vector<int> equal = Vector.BitwiseAnd(Vector.Equals(scores, Scores), Vector.GreaterThan(positions, Positions));
            Vector<int> better = Vector.BitwiseAnd(Vector.BitwiseOr(Vector.LessThan(scores, Scores), equal), Vector.LessThan(positions, _before));
            Scores = Vector.ConditionalSelect(better, scores, Scores);
            Positions = Vector.ConditionalSelect(better, positions, Positions);
            Slots = Vector.ConditionalSelect(better, new Vector<int>(slot) + _steps, Slots);
        }
    }
}
