namespace Equip.Model.Pruning;

/// <summary>The buffers of a pruned step, as wide as the widest feed-forward block; shared by all blocks of an executor.</summary>
internal sealed class ChannelScratch(int channels)
{
    public float[] Gate { get; } = new float[channels];

    public float[] Up { get; } = new float[channels];

    public float[] Scores { get; } = new float[channels];

    public int[] Chosen { get; } = new int[channels];

    /// <summary>The channels of a list that grows.</summary>
    public int[] List { get; } = new int[channels];
}
