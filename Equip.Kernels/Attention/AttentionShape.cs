using System.Runtime.CompilerServices;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Attention;

/// <summary>The shape that all attention kernels share.</summary>
public readonly struct AttentionShape
{
    /// <summary>The largest supported head dimension.</summary>
    public const int MaxHeadDim = 256;

    /// <summary>Describes attention of <paramref name="heads"/> query heads over <paramref name="kvHeads"/> KV heads.</summary>
    /// <param name="heads">Query heads; a multiple of <paramref name="kvHeads"/>.</param>
    /// <param name="kvHeads">KV heads, at least 1.</param>
    /// <param name="headDim">A multiple of 16 up to <see cref="MaxHeadDim"/>.</param>
    /// <param name="cacheType">How K and V rows are stored: f32, f16 or bf16.</param>
    /// <param name="scale">Factor of every score; 0 for 1 / sqrt(headDim).</param>
    /// <exception cref="ArgumentException">A value is out of its range.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public AttentionShape(int heads, int kvHeads, int headDim, DataType cacheType, float scale = 0)
    {
        Require.InRange(kvHeads, 1, int.MaxValue);
        Require.InRange(heads, kvHeads, int.MaxValue);
        Group = heads / kvHeads;
        if (Group * kvHeads != heads) Require.Multiple(heads, kvHeads);
        Require.InRange(headDim, 16, MaxHeadDim);
        Require.Multiple(headDim, 16);
        if (cacheType is not (DataType.F32 or DataType.F16 or DataType.BF16)) ThrowType(cacheType);
        Heads = heads;
        KvHeads = kvHeads;
        HeadDim = headDim;
        CacheType = cacheType;
        RowBytes = headDim * cacheType.Size();
        Scale = scale == 0 ? 1 / MathF.Sqrt(headDim) : scale;
    }

    /// <summary>Query heads.</summary>
    public int Heads { get; }

    /// <summary>KV heads.</summary>
    public int KvHeads { get; }

    /// <summary>Query heads that share one KV head.</summary>
    public int Group { get; }

    /// <summary>Elements of one K or V row.</summary>
    public int HeadDim { get; }

    /// <summary>How K and V rows are stored.</summary>
    public DataType CacheType { get; }

    /// <summary>Factor of every score.</summary>
    public float Scale { get; }

    /// <summary>Bytes of one K or V row.</summary>
    public int RowBytes { get; }

    private static void ThrowType(DataType cacheType) => throw new ArgumentException($"cacheType: got {cacheType}, expected f32, f16 or bf16", nameof(cacheType));
}
