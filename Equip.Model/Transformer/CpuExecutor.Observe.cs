using System.Diagnostics;
using System.Runtime.CompilerServices;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;

namespace Equip.Model.Transformer;

/// <content>What attention shows the policies.</content>
public sealed unsafe partial class CpuExecutor
{
    // Scores that one thread goes through faster than two agree to share them.
    private const int ObservedAlone = 4096;

    private readonly ObserveTask _observe = new();

    /// <summary>Shows the policies that want it what every slot received.</summary>
    private void Observe(int layer, ReadOnlySpan<Sequence> sequences)
    {
        int stride = ReserveColumnWeights(layer, sequences), chunks = sequences.Length * _config.KvHeads;
        if (stride == 0) return;
        long start = Stopwatch.GetTimestamp();
        _observe.Prepare(this, layer, sequences, stride);
        if ((long)chunks * stride > ObservedAlone) Context.Pool.Run(_observe, chunks);
        else
            for (int chunk = 0; chunk < chunks; chunk++) _observe.Execute(chunk, 0);
        _observe.Release(sequences.Length);
        _evictionTicks += Stopwatch.GetTimestamp() - start;
    }

    /// <summary>Makes room for <c>[batch, kvHeads, stride]</c> column weights and returns the stride: the largest capacity of a head.</summary>
    private int ReserveColumnWeights(int layer, ReadOnlySpan<Sequence> sequences)
    {
        int stride = 0;
        foreach (Sequence sequence in sequences)
        {
            if (!sequence.Policy.ObservesAttention) continue;
            foreach (HeadCache head in sequence.Cache.Layer(layer)) stride = Math.Max(stride, head.Capacity);
        }

        Grow(ref _columnWeights, checked(sequences.Length * _config.KvHeads * stride));
        return stride;
    }

    private float* ColumnWeights(int stride, int sequence, int head)
        => (float*)Unsafe.AsPointer(ref _columnWeights[((sequence * _config.KvHeads) + head) * stride]);

    /// <summary>A chunk is a KV head of a sequence, or with its first head the whole sequence, where the policy looks at all heads at once.</summary>
    private sealed class ObserveTask : IParallelTask
    {
        private CpuExecutor? _executor;
        private Sequence[] _sequences = [];
        private int _layer, _stride;

        public void Prepare(CpuExecutor executor, int layer, ReadOnlySpan<Sequence> sequences, int stride)
        {
            (_executor, _layer, _stride) = (executor, layer, stride);
            if (_sequences.Length < sequences.Length) Array.Resize(ref _sequences, sequences.Length);
            sequences.CopyTo(_sequences);
        }

        public void Release(int sequences) => Array.Clear(_sequences, 0, sequences);

        public void Execute(int chunk, int worker)
        {
            int kvHeads = _executor!._config.KvHeads, head = chunk % kvHeads;
            Sequence sequence = _sequences[chunk / kvHeads];
            if (!sequence.Policy.ObservesAttention || (head > 0 && !sequence.Policy.ObservesHeadsApart)) return;
            ReadOnlySpan<HeadCache> heads = sequence.Cache.Layer(_layer);
            sequence.Policy.Observe(
                sequence.Policy.ObservesHeadsApart ? heads.Slice(head, 1) : heads,
                sequence.PositionIn(_layer),
                new ColumnWeights(_executor.ColumnWeights(_stride, chunk / kvHeads, head), _stride));
        }
    }
}
