using Equip.Kernels.Dispatch;
using Equip.Model.Transformer;

namespace Equip.Model.Pruning;

/// <summary>
/// Channel pruning of one sequence: its own choice in every feed-forward block, made anew at the end of each of its prompts from all
/// of its prompt tokens. Sequences of a batch do not share a choice, so a pruned sequence reads its own rows of the weights.
/// </summary>
internal sealed class SequenceChannels : IDisposable
{
    private readonly KernelContext _context;
    private readonly BlockChannels[][] _blocks;     // [layer][block]
    private int _draw;

    public SequenceChannels(KernelContext context, ChannelOptions options, ModelWeights weights, BufferPool copies)
    {
        _context = context;
        _blocks = new BlockChannels[weights.Layers.Length][];
        for (int layer = 0; layer < _blocks.Length; layer++)
        {
            int number = 0;
            _blocks[layer] = [.. weights.Layers[layer].Blocks.Select(block => Create(context, options, block, (layer << 16) + number++, copies))];
        }
    }

    /// <summary>The block of a layer: 0, or the number of the expert, the shared one behind the others.</summary>
    public BlockChannels Of(int layer, int block) => _blocks[layer][block];

    /// <summary>A prompt, or a part of one, has been seen; at its end channels are chosen. Random choices follow from all its tokens: one draw a text, the same in every run.</summary>
    public void EndPrompt(ReadOnlySpan<int> tokens, bool final)
    {
        foreach (int token in tokens) _draw = unchecked((31 * _draw) + token);
        if (!final) return;
        foreach (BlockChannels[] layer in _blocks)
            foreach (BlockChannels block in layer) block.EndPrompt(_context, _draw);
    }

    public void Dispose()
    {
        foreach (BlockChannels[] layer in _blocks)
            foreach (BlockChannels block in layer) block.Dispose();
    }

    private static BlockChannels Create(KernelContext context, ChannelOptions options, FeedForwardWeights block, int seed, BufferPool copies)
    {
        ChannelWeights weights = ChannelWeights.Of(context, block, options.Method == ChannelMethod.Int8First);
        return options.Method switch
        {
            ChannelMethod.GateFirst => new GateFirstChannels(block, weights, options),
            ChannelMethod.Int8First => new Int8FirstChannels(block, weights, options),
            _ => new PartitionedChannels(block, weights, options, seed, copies),
        };
    }
}
