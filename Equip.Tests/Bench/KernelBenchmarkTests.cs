using Equip.Bench.Kernels;
using Equip.Bench.Kernels.Cases;
using Equip.Bench.Kernels.Roofline;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Bench;

internal sealed class KernelBenchmarkTests
{
    // Cases that several classes share.
    private static readonly string[] _split = ["SlotWriteBenchmarks", "ShiftMemmoveBenchmarks", "GemvBenchmarks", "SkinnyGemmBenchmarks", "GemmBenchmarks"];

    private static IEnumerable<Func<KernelCase>> Cases => RooflinePlan.Tiny.Groups.SelectMany(group => group.Cases);

    [Test]
    public void Benchmarks_EveryCase_HasAClass()
    {
        string[] names = [.. typeof(KernelBenchmark).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(KernelBenchmark))).Select(type => type.Name)];
        string[] cases = [.. typeof(KernelCase).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(KernelCase))).Select(type => type.Name.Replace("Case", "", StringComparison.Ordinal))];
        Assert.That(cases.Except(["Insert", "Linear"]).Select(name => name + "Benchmarks"), Is.SubsetOf(names));
        Assert.That(names, Is.SupersetOf(_split));
    }

    [Test]
    public void Check_CopiesInTurns_EveryCopyIsRight()
    {
        using LinearCase made = new(DataType.Q8, 64, 96, footprint: 30_000);
        for (int turn = 0; turn < 6; turn++) made.Check(Contexts.For(Isa.Scalar));
    }

    [Test]
    public void Check_AllCases_PassAgainAfterCalls()
    {
        KernelContext context = Contexts.For(Isa.Scalar);
        foreach (Func<KernelCase> make in Cases)
        {
            using KernelCase made = make();
            for (int call = 0; call < 70; call++) made.Run(context);
            Assert.That(() => made.Check(context), Throws.Nothing, made.Kernel);
            Assert.That(made.Bytes, Is.Positive);
        }
    }

    [Test]
    public void Check_WrongResult_IsRefused()
    {
        using WrongCase made = new() { Bytes = 1 };
        Assert.That(() => made.Check(Contexts.For(Isa.Scalar)), Throws.InvalidOperationException.With.Message.EqualTo("sum scalar f32 1x1 is wrong at element 0: got 1, expected 2 ± 0.5"));
    }

    private sealed class WrongCase() : KernelCase("sum", DataType.F32, "1x1")
    {
        private double _result;

        public override void Check(KernelContext context)
        {
            Run(context);
            Require(_result, 2, 0.5, context, "element 0");
        }

        protected override void Execute(KernelContext context) => _result = 1;
    }
}
