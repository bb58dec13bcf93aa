using System.Text.Json.Nodes;
using Equip.Bench.Kernels.Roofline;
using Equip.Bench.Output;
using Equip.Kernels.Dispatch;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Bench;

internal sealed class RooflineTests
{
    private static readonly string[] _parts = ["ceilings", "kernels"];
    private static readonly string[] _ceilings = ["read_gbps", "fma_gflops"];
    private static readonly string[] _computing = ["attention_prefill", "gemm", "window_scores"];
    private static readonly string[] _reading =
    [
        "attention_decode", "compact", "conversion_narrow", "conversion_widen", "gemm_skinny", "gemv", "gemv_gathered_channels", "gemv_gathered_rows", "pooling_average", "pooling_max", "rms_norm",
        "rope_rotate", "shift_memmove", "slot_write", "softmax", "swiglu", "top_k",
    ];

    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void Measure_TinyPlan_EveryFamilyHasARateAndAFraction(Isa isa)
    {
        KernelContext context = Contexts.For(isa);
        IReadOnlyList<RooflineRow> rows = Measure([context], 1, out Ceilings ceilings);
        Assert.That(rows.Where(row => row.Computes).Select(row => row.Kernel).Distinct(), Is.EquivalentTo(_computing));
        Assert.That(rows.Where(row => !row.Computes).Select(row => row.Kernel).Distinct(), Is.EquivalentTo(_reading));
        Assert.That(rows.Select(row => row.Path).Distinct(), Is.EquivalentTo(new[] { "any", IsaRegistry.Name(isa) }));
        foreach (double value in rows.SelectMany(row => new[] { row.Rate, row.Ceiling, row.Fraction, row.Microseconds }).Append(ceilings.ReadBytes).Append(ceilings.Flops))
            Assert.That(value, Is.Positive.And.LessThan(double.PositiveInfinity));
        Assert.That(rows.Single(row => row.Kernel == "slot_write").TimesFaster, Is.Positive);
        Assert.That(rows.Where(row => row.Kernel != "slot_write").Select(row => row.TimesFaster), Is.All.Null);
    }

    [Test]
    public void Measure_SecondPath_HasTheRowsFromMemoryAlone()
    {
        KernelContext first = Contexts.For(Isa.Scalar), second = Contexts.For(Isa.Avx2);
        IReadOnlyList<RooflineRow> rows = Measure([first, second], 1, out _);
        Assert.That(rows.Where(row => row.Path == "avx2").Select(row => row.FromMemory), Is.Not.Empty.And.All.True);
        Assert.That(rows.Count(row => row.Path == "avx2"), Is.EqualTo(rows.Count(row => row.FromMemory && row.Path == "scalar")));
    }

    [Test]
    public void Json_TinyPlan_HasTheDocumentedFields()
    {
        KernelContext context = Contexts.For(Isa.Scalar);
        IReadOnlyList<RooflineRow> rows = Measure([context], 1, out Ceilings ceilings);
        using StringWriter output = new();
        using (ResultTable<RooflineRow> table = new("roofline", RooflineRow.Columns(ceilings, context), new RooflineJsonWriter(), output))
            foreach (RooflineRow row in rows) table.Add(row);
        JsonObject result = JsonNode.Parse(output.ToString())!.AsObject();
        Assert.That(Names(result), Is.EqualTo(_parts));
        Assert.That(Names(result["ceilings"]!), Is.EqualTo(_ceilings));
        Assert.That(result["ceilings"]!["read_gbps"]!.GetValue<double>(), Is.EqualTo(ceilings.ReadBytes / 1e9));
        JsonArray kernels = result["kernels"]!.AsArray();
        Assert.That(kernels, Has.Count.EqualTo(rows.Count));
        for (int i = 0; i < rows.Count; i++)
        {
            string rate = rows[i].Computes ? "gflops" : "gbps";
            string[] expected = ["kernel", "isa", "dtype", "shape", rate, "fraction", .. rows[i].TimesFaster is null ? Array.Empty<string>() : ["times_faster_than_shift"]];
            Assert.That(Names(kernels[i]!), Is.EqualTo(expected));
            Assert.That(kernels[i]![rate]!.GetValue<double>(), Is.EqualTo(rows[i].Rate / 1e9));
        }
    }

    [TestCase("kernels --isa avx2", "--isa: belongs to --roofline")]
    [TestCase("kernels --roofline --filter x", "--roofline: takes no arguments of BenchmarkDotNet, got '--filter'")]
    public void Invoke_MixedArguments_AreRefused(string line, string problem)
    {
        (int exit, string output, string error) = CliTests.Invoke(line.Split(' '));
        Assert.That(exit, Is.EqualTo(2));
        Assert.That(output, Is.Empty);
        Assert.That(error, Does.Contain(problem));
    }

    private static string[] Names(JsonNode node) => [.. node.AsObject().Select(field => field.Key)];

    private static IReadOnlyList<RooflineRow> Measure(IReadOnlyList<KernelContext> contexts, int everywhere, out Ceilings ceilings)
    {
        using RooflineRun run = new(RooflinePlan.Tiny, contexts, everywhere);
        IReadOnlyList<RooflineRow> rows = run.Measure(_ => { }, CancellationToken.None);
        ceilings = run.Ceilings;
        return rows;
    }
}
