using Equip.Bench.CommandLine;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Model.Config;
using Equip.Model.Transformer;

namespace Equip.Bench.Suite;

/// <summary>What the suite measures and how long. Ranges that are not given are those of the table.</summary>
internal sealed record SuitePlan
{
    /// <summary>EQUIP+StreamingLLM over StreamingLLM: cache positions, sinks and a window.</summary>
    public const string Streaming = "streaming";

    /// <summary>EQUIP+H2O over H2O with original positions, as the authors' default class.</summary>
    public const string H2O = "h2o";

    /// <summary>EQUIP+H2O over H2O with cache positions, as the authors' streaming class.</summary>
    public const string H2OCache = "h2o cache-pos";

    /// <summary>EQUIP+paged (streaming in place, in pages) over the full growing cache.</summary>
    public const string Paged = "paged";

    /// <summary>
    /// What eviction in place costs: over a full cache of the same fill, H2O over streaming, and pages over rows in one piece.
    /// </summary>
    public const string Cost = "cost";

    private const int PageTokens = 16;

    // Weights and caches of a cell together: under 5 GB with what else a process needs.
    private const double MemoryBytes = 4.4e9;

    private static readonly string[] _shapes = ["llama-160m", "tinyllama-1.1b", "llama-2-7b:4", "llama-3-8b:4"];

    private static readonly (CacheUpdate Update, string Name)[] _baselines =
    [
        (CacheUpdate.Functional, "A functional"),
        (CacheUpdate.FunctionalRepeatKv, "A repeat_kv"),
        (CacheUpdate.Memmove, "B memmove"),
        (CacheUpdate.FusedShift, "C fused shift"),
        (CacheUpdate.RingRotate, "D ring rotate"),
    ];

    /// <summary>The parts of the table.</summary>
    public static IReadOnlyList<string> AllBlocks { get; } = [Streaming, H2O, H2OCache, Paged];

    /// <summary>The parts to measure.</summary>
    public IReadOnlyList<string> Blocks { get; init; } = AllBlocks;

    /// <summary>The shapes.</summary>
    public IReadOnlyList<ModelShape> Shapes { get; init; } = [.. _shapes.Select(ModelShape.Parse)];

    /// <summary>Tokens kept per KV head, W.</summary>
    public IReadOnlyList<int> Budgets { get; init; } = [512, 1024, 2048, 4096];

    /// <summary>Sequences that decode together.</summary>
    public IReadOnlyList<int> Sequences { get; init; } = [1, 8];

    /// <summary>Tokens of the full growing cache.</summary>
    public IReadOnlyList<int> Contexts { get; init; } = [4096, 8192, 16384];

    /// <summary>How K and V are stored.</summary>
    public DataType KvType { get; init; } = DataType.BF16;

    /// <summary>How weights are stored.</summary>
    public DataType Weights { get; init; } = DataType.BF16;

    /// <summary>Layers at most, of any shape.</summary>
    public int MostLayers { get; init; } = int.MaxValue;

    /// <summary>Turns of each cache.</summary>
    public int Rounds { get; init; } = 7;

    /// <summary>Steps before the clock starts in a turn.</summary>
    public int UntimedSteps { get; init; }

    /// <summary>The least time of a turn.</summary>
    public double TurnSeconds { get; init; } = 0.05;

    /// <summary>After this long a cell ends, three turns each done.</summary>
    public double CellSeconds { get; init; } = 10;

    /// <summary>What the output says of the run.</summary>
    public string Description { get; init; } = "full";

    /// <summary>Fewer budgets, contexts, layers and turns: under four minutes on two cores.</summary>
    public static SuitePlan Quick { get; } = new()
    {
        Budgets = [512, 2048],
        Contexts = [16384],
        MostLayers = 2,
        Rounds = 3,
        TurnSeconds = 0.02,
        CellSeconds = 3,
        Description = "quick: W 512 and 2048, at most 2 layers, 3 turns",
    };

    /// <summary>The block <see cref="Cost"/> alone. A few percent are at stake: many short turns, each after a step that is not timed.</summary>
    public static SuitePlan CostPlan { get; } = new()
    {
        Blocks = [Cost],
        Shapes = [.. new[] { "llama-160m", "tinyllama-1.1b" }.Select(ModelShape.Parse)],
        Budgets = [512, 1024, 2048],
        Sequences = [1],
        Rounds = 75,
        UntimedSteps = 1,
        TurnSeconds = 0,
        CellSeconds = 25,
        Description = "full",
    };

    /// <summary>The same, quicker.</summary>
    public static SuitePlan QuickCost { get; } = CostPlan with { Budgets = [512, 2048], Rounds = 35, CellSeconds = 12, Description = "quick: W 512 and 2048, 35 turns" };

    /// <summary>The parts that compare a policy.</summary>
    /// <exception cref="UsageException">There are none.</exception>
    public static IReadOnlyList<string> BlocksOf(string policy) => policy switch
    {
        "streaming" => [Streaming],
        "h2o" => [H2O, H2OCache],
        CacheSettings.Full => [Paged],
        _ => throw new UsageException($"--policy: the suite compares streaming, h2o and full (paged over full), got {policy}"),
    };

    /// <summary>The cells, those of a shape side by side.</summary>
    public IReadOnlyList<SuiteCell> Cells =>
    [
        .. from block in AllBlocks.Append(Cost).Where(Blocks.Contains)
           from shape in Shapes
           from sequences in Sequences
           from pairs in block switch
           {
               Paged => Contexts.Select(PagedPairs),
               Cost => Budgets.Select(CostPairs),
               _ => Budgets.Select(budget => UpdatePairs(block, budget, shape.Config)),
           }
           where pairs.Count > 0
           select Cell(block, shape, sequences, pairs),
    ];

    private SuiteCell Cell(string block, ModelShape shape, int sequences, IReadOnlyList<SuitePair> pairs)
    {
        SuiteCell cell = new() { Block = block, Shape = shape.Name, Config = shape.Config, Sequences = sequences, Pairs = pairs };
        long row = new TrafficModel(shape.Config, KvType).RowBytes, rows = cell.Entries.Sum(entry => (long)entry.Traffic.Live);
        ModelConfig c = shape.Config;
        double parameters = (2.0 * c.HiddenSize * c.HeadDim * (c.Heads + c.KvHeads)) + (3.0 * c.HiddenSize * c.IntermediateSize);
        int layers = (int)Math.Clamp(MemoryBytes / ((2.0 * row * rows * sequences) + (parameters * Weights.Size())), 1, Math.Min(MostLayers, c.Layers));
        int whole = ModelShape.Parse(shape.Name.Split(':')[0]).Config.Layers;
        return cell with { Config = c with { Layers = layers, VocabularySize = Math.Max(1, (int)((long)c.VocabularySize * layers / whole)), TieWordEmbeddings = true } };
    }

    private List<SuitePair> UpdatePairs(string block, int budget, ModelConfig config)
    {
        bool scores = block != Streaming, ranks = block != H2O, grouped = config.Heads > config.KvHeads;
        CacheOptions cache = new()
        {
            Policy = scores ? "h2o" : "streaming",
            Budget = budget,
            Positions = ranks ? PositionScheme.Cache : PositionScheme.Original,
            KvType = KvType,
        };
        int live = scores ? budget + 1 : budget, moved = scores ? budget / 2 : budget - cache.Sinks;
        SuiteEntry Entry(CacheUpdate update, string name) => new(name, cache with { Update = update }, 4 * budget, new CacheTraffic(update, live, moved, ranks, scores));
        SuiteEntry inPlace = Entry(CacheUpdate.InPlace, "in place");
        if (block == H2OCache) inPlace = inPlace with { Cache = inPlace.Cache with { Positions = PositionScheme.CacheRotateOnRead } };

        // With original positions nothing is rotated: C is B, and D is the in-place write.
        return
        [
            .. from baseline in _baselines
               where (grouped || baseline.Update != CacheUpdate.FunctionalRepeatKv) && (ranks || baseline.Update is not (CacheUpdate.FusedShift or CacheUpdate.RingRotate))
               select new SuitePair(inPlace, Entry(baseline.Update, baseline.Name), baseline.Update == (grouped ? CacheUpdate.FunctionalRepeatKv : CacheUpdate.Functional)),
        ];
    }

    private List<SuitePair> PagedPairs(int context)
    {
        SuiteEntry full = new("full cache", new CacheOptions { KvType = KvType }, context, new CacheTraffic(CacheUpdate.InPlace, context, 0));
        return
        [
            .. from budget in Budgets
               where budget < context
               let cache = new CacheOptions { Policy = "streaming", Budget = budget, PageTokens = PageTokens, KvType = KvType }
               select new SuitePair(new SuiteEntry($"in place W{budget}", cache, context, new CacheTraffic(CacheUpdate.InPlace, budget, 0)), full, true),
        ];
    }

    private List<SuitePair> CostPairs(int budget)
    {
        SuiteEntry full = new("full cache", new CacheOptions { KvType = KvType }, budget, new CacheTraffic(CacheUpdate.InPlace, budget, 0)) { Refills = true };
        SuiteEntry streaming = new("streaming", new CacheOptions { Policy = "streaming", Budget = budget, KvType = KvType }, 4 * budget, new CacheTraffic(CacheUpdate.InPlace, budget, 0));
        SuiteEntry h2o = new("h2o", streaming.Cache with { Policy = "h2o" }, 4 * budget, new CacheTraffic(CacheUpdate.InPlace, budget + 1, 0, Scores: true));
        SuiteEntry paged = streaming with { Name = $"pages of {PageTokens}", Cache = streaming.Cache with { PageTokens = PageTokens } };
        return
        [
            new SuitePair(full, streaming, false) { Name = "streaming over a full cache of the same fill" },
            new SuitePair(streaming, h2o, false) { Name = "h2o over streaming" },
            new SuitePair(streaming, paged, false) { Name = $"pages of {PageTokens} over one piece" },
        ];
    }
}
