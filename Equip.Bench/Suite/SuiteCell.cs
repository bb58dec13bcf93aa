using Equip.Kernels.KvCache;
using Equip.Model.Config;
using Equip.Model.Transformer;

namespace Equip.Bench.Suite;

/// <summary>One cache that takes its turn in a cell.</summary>
/// <param name="Name">What it is called.</param>
/// <param name="Cache">Its options.</param>
/// <param name="Context">Tokens that each sequence has seen when the clock starts.</param>
/// <param name="Traffic">What its bytes depend on.</param>
internal sealed record SuiteEntry(string Name, CacheOptions Cache, int Context, CacheTraffic Traffic)
{
    /// <summary>Whether it grows, and is filled anew so often that over the turns it holds <see cref="Context"/> tokens on average.</summary>
    public bool Refills { get; init; }
}

/// <summary>Two entries of a cell that are compared.</summary>
/// <param name="InPlace">The one in place.</param>
/// <param name="Over">The one that it is compared with.</param>
/// <param name="Published">Whether that is the form that was published.</param>
internal sealed record SuitePair(SuiteEntry InPlace, SuiteEntry Over, bool Published)
{
    /// <summary>What the table calls the comparison.</summary>
    public string Name { get; init; } = Over.Name;
}

/// <summary>Caches that take turns on one model.</summary>
internal sealed record SuiteCell
{
    /// <summary>The part of the table.</summary>
    public required string Block { get; init; }

    /// <summary>The shape's name as given.</summary>
    public required string Shape { get; init; }

    /// <summary>The model: the shape, cut to the layers that fit into memory, with as much of its vocabulary.</summary>
    public required ModelConfig Config { get; init; }

    /// <summary>Sequences that decode together.</summary>
    public required int Sequences { get; init; }

    /// <summary>The comparisons.</summary>
    public required IReadOnlyList<SuitePair> Pairs { get; init; }

    /// <summary>Every cache once.</summary>
    public IReadOnlyList<SuiteEntry> Entries => [.. Pairs.SelectMany(pair => new[] { pair.InPlace, pair.Over }).Distinct()];

    /// <summary>Says which cell it is, across runs.</summary>
    public string Key => string.Join(' ', [Block, Shape, Config.Layers, Sequences, .. Pairs.Select(pair => $"{pair.InPlace.Name}/{pair.InPlace.Context}/{pair.Over.Name}/{pair.Over.Context}")]);
}
