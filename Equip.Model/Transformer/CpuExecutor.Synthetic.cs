using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;
using Equip.Kernels.Memory;
using Equip.Kernels.Numerics;

namespace Equip.Model.Transformer;

/// <content>Sequences with a past that was never computed, for measuring.</content>
public sealed unsafe partial class CpuExecutor
{
    /// <summary>
    /// Gives an empty sequence the cache that it would have after some tokens, with random K and V (normal, some outliers):
    /// what a decode step costs does not depend on their values, and computing thousands of prompt tokens takes long. A sliding
    /// window holds the newest tokens; a policy that chooses by scores holds, beside its recent tokens, older ones at random,
    /// with scores that grow with the time over which they were gathered.
    /// </summary>
    /// <param name="sequence">An empty sequence of this executor, of a policy that acts on decode steps or keeps everything.</param>
    /// <param name="tokens">Tokens seen, at least 1.</param>
    /// <param name="seed">Names the values.</param>
    /// <exception cref="ArgumentException">The sequence is not empty, the count is not positive, or the policy prunes prompts only.</exception>
    public void FillRandom(Sequence sequence, int tokens, int seed)
    {
        CheckSequence(sequence, tokens);
        if (sequence.Tokens > 0) throw new ArgumentException($"sequence: has seen {sequence.Tokens} tokens, expected an empty one", nameof(sequence));
        if (tokens < 1) throw new ArgumentOutOfRangeException(nameof(tokens), tokens, $"tokens: got {tokens}, expected at least 1");
        if (sequence.Policy.Scoring is not null) throw new ArgumentException($"sequence: {sequence.Options.Policy} chooses from a prompt's own keys and cannot be filled at random", nameof(sequence));
        int budget = sequence.Policy.CapacityTokens == 0 ? tokens : Math.Min(tokens, sequence.Options.Budget), rowBytes = _config.HeadDim * sequence.Options.KvType.Size();
        using NativeBuffer rows = new(2L * budget * rowBytes);
        Random random = new(seed);
        sequence.Inconsistent = true;
        for (int layer = 0; layer < _config.Layers; layer++)
        {
            ReadOnlySpan<HeadCache> heads = sequence.Cache.Layer(layer);
            for (int head = 0; head < heads.Length; head++)
            {
                SyntheticWeights.Fill(Context, rows.Pointer, sequence.Options.KvType, 2L * budget * _config.HeadDim, 1, (ulong)random.NextInt64());
                int[] positions = KeptPositions(sequence, tokens, budget, random);
                for (int i = 0; i < budget; i++)
                {
                    byte* key = (byte*)rows.Pointer + ((long)i * rowBytes);
                    heads[head].WriteStored(i, key, key + ((long)budget * rowBytes), positions[i], sequence.Strategy.StoresUnrotatedKeys ? 0 : positions[i]);
                    heads[head].Scores[i] = (float)((tokens - positions[i]) * (0.5 + random.NextDouble()) / budget);
                }
            }

            sequence.Strategy.AfterPrompt(Context, heads);
        }

        sequence.Tokens = tokens;
        sequence.Inconsistent = false;
    }

    /// <summary>Positions, ascending, of the tokens that a head still holds.</summary>
    private static int[] KeptPositions(Sequence sequence, int tokens, int budget, Random random)
    {
        // What the policy protects is contiguous: its sinks at the start, its window or its recent tokens at the end.
        bool window = sequence.Policy.Mask.Window > 0;
        int older = window || budget == tokens ? 0 : budget - Math.Min(sequence.Policy.RecentTokens, budget), oldest = tokens - (budget - older);
        int[] positions = new int[budget];
        for (int i = older; i < budget; i++) positions[i] = window && i < sequence.Options.Sinks ? i : oldest + i - older;

        // Older ones are drawn without repetition.
        for (int i = 0, next = 0; i < older; next++)
        {
            int wanted = older - i, left = oldest - next;
            if (random.Next(left) < wanted) positions[i++] = next;
        }

        return positions;
    }
}
