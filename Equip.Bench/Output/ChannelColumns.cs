using System.Text.Json.Nodes;
using Equip.Bench.CommandLine;
using Equip.Model.Pruning;
using Equip.Model.Transformer;
using static Equip.Bench.Output.ColumnType;
using static Equip.Bench.Output.ColumnView;

namespace Equip.Bench.Output;

/// <summary>The columns of channel pruning, shared by decode and eval; missing where nothing is pruned.</summary>
internal static class ChannelColumns
{
    /// <summary>How a row's channels were chosen.</summary>
    public static IReadOnlyList<Column<TRow>> Settings<TRow>(Func<TRow, CacheOptions> cache)
    {
        return
        [
            new("channels", "channels", Text, Optional, row => Of(row) is { } options ? NameOf(options.Method) : null),
            new("channel_ratio", "channels dropped", Real, Optional, row => Format.Real(Of(row) is { } options ? Math.Round(options.Ratio, 6) : null)),
            new("pop_gamma", "gamma", Real, Optional, row => Format.Real(Of(row) is { Method: ChannelMethod.Pop } options ? options.Gamma : null)),
            new("pop_copy", "pop copy", Text, Setting, row => Of(row) is { MakesCopies: true } ? ChannelSettings.Copies.NameOf(true) : null),
            new("channel_factor", "channel factor", Text, Setting, row => Of(row) is { Method: ChannelMethod.GateFirst } options ? ChannelSettings.Factors.NameOf(options.Factor) : null),
            new("channel_cut", "channel cut", Text, Setting, row => Of(row) is { Method: ChannelMethod.GateFirst } options ? ChannelSettings.Cuts.NameOf(options.Threshold) : null),
        ];

        ChannelOptions? Of(TRow row) => cache(row).Channels;
    }

    /// <summary>What came of it. The bytes stand in data formats for every row that has decoded.</summary>
    public static IReadOnlyList<Column<TRow>> Results<TRow>(Func<TRow, StepFacts?> facts)
    {
        return
        [
            new("channels_kept", "channels kept", Real, Optional, row => Format.Real(Pruned(row)?.KeptShare)) { Show = Number },
            new("ffn_bytes_per_token", "ffn bytes/token", Real, DataOnly, row => Format.Real(facts(row)?.FeedForward.BytesPerToken)),
            new("ffn_byte_share", "ffn bytes", Real, Optional, row => Format.Real(1 / Pruned(row)?.Bound)) { Show = value => $"{Format.Number(100 * value.GetValue<double>())} %" },
            new("ffn_byte_bound", "ffn byte bound", Real, Optional, row => Format.Real(Pruned(row)?.Bound)) { Show = Number },
        ];

        FeedForwardTraffic? Pruned(TRow row) => facts(row)?.FeedForward is { Channels: > 0 } found ? found : null;

        static string Number(JsonNode value) => Format.Number(value.GetValue<double>());
    }

    private static string NameOf(ChannelMethod method) => method == ChannelMethod.Pop ? "pop" : ChannelSettings.Methods.NameOf(method);
}
