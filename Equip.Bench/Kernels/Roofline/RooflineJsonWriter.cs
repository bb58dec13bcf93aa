using System.Text.Json.Nodes;
using Equip.Bench.Output;

namespace Equip.Bench.Kernels.Roofline;

/// <summary>One JSON object: the ceilings, and a list with an object a kernel that has only the rate it is measured by.</summary>
internal sealed class RooflineJsonWriter : ResultWriter
{
    private static readonly string[] _ceilings = ["read_gbps", "fma_gflops"];
    private static readonly string[] _fields = ["kernel", "isa", "dtype", "shape", "gbps", "gflops", "fraction", "times_faster_than_shift"];

    private readonly List<string> _kernels = [];
    private JsonObject _limits = [];

    public override void Row(ResultRow row)
    {
        _limits = Pick(row, _ceilings);
        _kernels.Add(Pick(row, _fields).ToJsonString(JsonText.Options));
    }

    public override void End() =>
        Output.Write($"{{\"ceilings\":{_limits.ToJsonString(JsonText.Options)},\"kernels\":[\n  {string.Join(",\n  ", _kernels)}\n]}}\n");

    private JsonObject Pick(ResultRow row, string[] names)
    {
        JsonObject fields = [];
        for (int i = 0; i < Columns.Count; i++)
            if (names.Contains(Columns[i].Name) && row.Values[i] is { } value) fields.Add(Columns[i].Name, value.DeepClone());
        return fields;
    }
}
