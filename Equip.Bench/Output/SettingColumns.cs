using Equip.Bench.CommandLine;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Model.Transformer;

namespace Equip.Bench.Output;

/// <summary>The columns that decode and eval share: how the cache was kept and what computed. Full has no budget, sinks, update or positions.</summary>
internal static class SettingColumns
{
    /// <summary>Columns of a row's cache.</summary>
    /// <param name="cache">The cache, its budget that of a prompt of the row's tokens.</param>
    /// <param name="tokens">Tokens of the prompt that it prunes; 0 if there is none.</param>
    public static IReadOnlyList<Column<TRow>> OfCache<TRow>(Func<TRow, CacheOptions> cache, Func<TRow, int> tokens)
    {
        return
        [
            new("policy", "policy", ColumnType.Text, ColumnView.Shown, row => cache(row).Policy),
            new("budget", "budget", ColumnType.Integer, ColumnView.Shown, row => Pruned(row)?.Budget),
            new("ratio", "kept", ColumnType.Real, ColumnView.Optional, row => Pruned(row) is { } options && tokens(row) > 0 ? Format.Real(Math.Round(Math.Min(1, (double)options.Budget / tokens(row)), 6)) : null)
            {
                Show = value => $"{Format.Number(100 * value.GetValue<double>())} %",
            },
            new("sinks", "sinks", ColumnType.Integer, ColumnView.Setting, row => Pruned(row)?.Sinks),
            new("recent", "recent", ColumnType.Integer, ColumnView.Setting, row => Pruned(row)?.Recent),
            new("update", "update", ColumnType.Text, ColumnView.Setting, row => Pruned(row) is { } options ? CacheSettings.Updates.NameOf(options.Update) : null),
            new("positions", "positions", ColumnType.Text, ColumnView.Setting, row => Pruned(row) is { } options ? CacheSettings.Positions.NameOf(options.Positions) : null),
            new("window", "window", ColumnType.Integer, ColumnView.Setting, row => Given(cache(row).Window)),
            new("pool", "pool", ColumnType.Text, ColumnView.Setting, row => cache(row).PoolKernel == 0 ? null : CacheSettings.PoolModes.NameOf(cache(row).PoolMode)),
            new("pool_kernel", "pool kernel", ColumnType.Integer, ColumnView.Setting, row => Given(cache(row).PoolKernel)),
            new("reduction", "reduction", ColumnType.Text, ColumnView.Setting, row => cache(row).Reduction == 0 ? null : CacheSettings.Reductions.NameOf(cache(row).Reduction)),
            new("allocation", "allocation", ColumnType.Text, ColumnView.Setting, row => cache(row).Allocation == 0 ? null : CacheSettings.Allocations.NameOf(cache(row).Allocation)),
            new("reading", "reading", ColumnType.Text, ColumnView.Setting, row => cache(row).Reading == 0 ? null : CacheSettings.Readings.NameOf(cache(row).Reading)),
            new("then", "then", ColumnType.Text, ColumnView.Setting, row => cache(row).Allocation == 0 ? null : CacheSettings.Tails.NameOf(cache(row).Then)),
            new("page", "page", ColumnType.Integer, ColumnView.Setting, row => cache(row).PageTokens),
            new("kv", "kv", ColumnType.Text, ColumnView.Setting, row => cache(row).KvType.Name()),
            .. FilterColumns.Settings(cache),
            .. ChannelColumns.Settings(cache),
        ];

        // What a policy does not use is 0 in resolved options.
        static int? Given(int number) => number == 0 ? null : number;

        CacheOptions? Pruned(TRow row) => cache(row).Policy == CacheSettings.Full ? null : cache(row);
    }

    /// <summary>Columns of what computed a row.</summary>
    public static IReadOnlyList<Column<TRow>> OfCompute<TRow>(Func<TRow, Isa> isa, Func<TRow, int> threads) =>
    [
        new("backend", "backend", ColumnType.Text, ColumnView.Setting, _ => ComputeSettings.Backends.NameOf(Backend.Cpu)),
        new("isa", "isa", ColumnType.Text, ColumnView.Setting, row => IsaRegistry.Name(isa(row))),
        new("threads", "threads", ColumnType.Integer, ColumnView.Setting, row => threads(row)),
    ];
}
