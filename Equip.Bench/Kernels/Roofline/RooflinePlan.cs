using Equip.Bench.Kernels.Cases;
using Equip.Kernels.Attention;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels.Roofline;

/// <summary>Kernels that take turns.</summary>
/// <param name="Name">What they are, for the progress display.</param>
/// <param name="FromMemory">Whether calls go through more than the caches hold.</param>
/// <param name="Cases">Make the kernels.</param>
internal sealed record RooflineGroup(string Name, bool FromMemory, IReadOnlyList<Func<KernelCase>> Cases);

/// <summary>What the roofline measures and how long.</summary>
internal sealed class RooflinePlan
{
    // Several times the caches of any part; the largest group then takes about 2 GiB.
    private const long MemoryFootprint = 320L << 20;

    /// <summary>After this long a group ends early: paths without vectors are slow.</summary>
    public const double GroupSeconds = 10;

    /// <summary>After this long every group ends early.</summary>
    public const double TotalSeconds = 90;

    private static readonly DataType[] _floats = [DataType.F32, DataType.BF16, DataType.F16];
    private static readonly DataType[] _weights = [.. _floats, DataType.Q8];

    /// <summary>Bytes that are read for the ceiling of memory.</summary>
    public required long CeilingBytes { get; init; }

    /// <summary>The least time of a sample, and of a ceiling's.</summary>
    public required double SampleSeconds { get; init; }

    /// <summary>Samples of each row.</summary>
    public required int Rounds { get; init; }

    /// <summary>Samples of a row of a group after <see cref="GroupSeconds"/> or <see cref="TotalSeconds"/>.</summary>
    public required int FewestRounds { get; init; }

    /// <summary>The kernels.</summary>
    public required IReadOnlyList<RooflineGroup> Groups { get; init; }

    /// <summary>The sizes of models in use; about a minute.</summary>
    public static RooflinePlan Full { get; } = new()
    {
        CeilingBytes = 1L << 30,
        SampleSeconds = 0.025,
        Rounds = 9,
        FewestRounds = 3,
        Groups = Build((full, _) => full, MemoryFootprint),
    };

    /// <summary>Every kernel at a size that is over at once: for tests, not for figures.</summary>
    public static RooflinePlan Tiny { get; } = new()
    {
        CeilingBytes = 1 << 16,
        SampleSeconds = 1e-5,
        Rounds = 2,
        FewestRounds = 2,
        Groups = Build((_, tiny) => tiny, 0),
    };

    private static IReadOnlyList<RooflineGroup> Build(Func<int, int, int> size, long memory)
    {
        int tokens = size(2048, 64), hidden = size(4096, 64), wide = size(14336, 96), narrow = size(768, 64), heads = size(32, 4), kvHeads = size(8, 2);
        int headDim = size(128, 32), window = size(2048, 64), elements = size(16 << 20, 1000), cached = size(1 << 17, 900), scores = size(16384, 128);
        AttentionShape Grouped(DataType type) => new(heads, kvHeads, headDim, type);
        AttentionShape Plain(DataType type) => new(size(12, 2), size(12, 2), size(64, 16), type);
        Func<KernelCase>[] Each(DataType[] types, Func<DataType, KernelCase> make) => [.. types.Select<DataType, Func<KernelCase>>(type => () => make(type))];

        return
        [
            new("decode attention", true, Each(_floats, type => new DecodeAttentionCase(Grouped(type), size(16384, 96), memory))),
            new("decode attention", false, [
                .. Each(_floats, type => new DecodeAttentionCase(Grouped(type), tokens)),
                .. Each(_floats, type => new DecodeAttentionCase(Plain(type), tokens)),
            ]),
            new("gemv", true, [
                .. Each(_weights, type => new LinearCase(type, hidden, wide, 1, memory)),
                .. Each([DataType.BF16, DataType.Q8], type => new LinearCase(type, hidden, wide, size(8, 4), memory)),
            ]),
            new("gathered gemv", true, [
                () => new GatheredGemvCase(channels: false, DataType.BF16, wide, hidden, memory),
                () => new GatheredGemvCase(channels: true, DataType.BF16, wide, hidden, memory),
            ]),
            new("gemv", false, Each(_weights, type => new LinearCase(type, narrow, narrow))),
            new("gemm", false, Each([DataType.F32, DataType.BF16], type => new LinearCase(type, hidden, hidden, size(512, 64)))),
            new("prefill attention", false, [
                .. Each([DataType.F32, DataType.BF16], type => new PrefillAttentionCase(Grouped(type), tokens)),
                () => new WindowScoresCase(Grouped(DataType.BF16), tokens, size(32, 8)),
            ]),
            new("cache updates", true, [
                () => new InsertCase(CacheUpdate.InPlace, DataType.F32, size(32, 4), headDim, window),
                () => new InsertCase(CacheUpdate.Memmove, DataType.F32, size(32, 4), headDim, window),
            ]),
            new("row kernels", true, [
                () => new RopeCase(tokens, kvHeads, headDim, memory),
                () => new RmsNormCase(tokens, hidden, memory),
                () => new SoftmaxCase(tokens, hidden, memory),
                () => new SwiGluCase(elements, memory),
                .. Each([DataType.F16, DataType.BF16], type => new ConversionCase(type, narrows: true, elements, memory)),
                .. Each([DataType.F16, DataType.BF16], type => new ConversionCase(type, narrows: false, elements, memory)),
            ]),
            new("row kernels", false, [
                () => new RopeCase(size(128, 2), kvHeads, headDim),
                () => new RmsNormCase(size(32, 2), hidden),
                () => new SoftmaxCase(size(32, 2), hidden),
                () => new SwiGluCase(cached),
                .. Each([DataType.F16, DataType.BF16], type => new ConversionCase(type, narrows: true, cached)),
                .. Each([DataType.F16, DataType.BF16], type => new ConversionCase(type, narrows: false, cached)),
                () => new CompactCase(DataType.BF16, headDim, window),
                () => new TopKCase(scores, scores / 16),
                () => new PoolingCase(max: false, scores, 7),
                () => new PoolingCase(max: true, scores, 7),
            ]),
        ];
    }
}
