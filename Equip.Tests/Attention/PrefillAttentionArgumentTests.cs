using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Attention;

/// <summary>What the public entries refuse, before anything is written.</summary>
internal sealed unsafe class PrefillAttentionArgumentTests
{
    private const int Tokens = 3, Heads = 4, HeadDim = 16;
    private static readonly AttentionShape _shape = new(Heads, 2, HeadDim, DataType.F32);
    private readonly float[] _queries = new float[Tokens * Heads * HeadDim];
    private readonly float[] _output = new float[Tokens * Heads * HeadDim];
    private PrefillAttentionCase _case = null!;

    [SetUp]
    public void MakeCase() => _case = new PrefillAttentionCase(_shape, 2, Tokens);

    [TearDown]
    public void FreeCase() => _case.Dispose();

    [TestCase(-1, 0, 0, 0, "Past: got -1, expected 0 to")]
    [TestCase(2, -1, 0, 0, "Window: got -1, expected 0 to")]
    [TestCase(2, 0, -1, 0, "Sinks: got -1, expected 0 to")]
    [TestCase(2, 0, 0, -1, "HeadStride: got 4, expected 5 to")]
    [TestCase(int.MaxValue, 0, 0, 0, "Past: got 2147483647")]
    public void Attend_KeysOutOfRange_NamesValueAndRange(int past, int window, int sinks, int stride, string message)
    {
        PrefillKeys keys = _case.Keys() with { Past = past, Window = window, Sinks = sinks, HeadStride = past + (long)Tokens + stride };
        Assert.That(() => Attend(_queries, default, keys, _output, Tokens), Throws.InstanceOf<ArgumentException>().With.Message.Contains(message));
    }

    [Test]
    public void Attend_StrideBeyondMemory_IsRefused()
        => Assert.That(() => Attend(_queries, default, _case.Keys() with { HeadStride = long.MaxValue / 8 }, _output, Tokens), Throws.InstanceOf<ArgumentException>().With.Message.Contains("HeadStride"));

    [Test]
    public void Attend_NullPointers_AreNamed()
    {
        Assert.That(() => Attend(_queries, default, _case.Keys() with { Keys = null }, _output, Tokens), Throws.ArgumentNullException.With.Property("ParamName").EqualTo("keys.Keys"));
        Assert.That(() => Attend(_queries, default, _case.Keys() with { Values = null }, _output, Tokens), Throws.ArgumentNullException.With.Property("ParamName").EqualTo("keys.Values"));
        Assert.That(() => PrefillAttention.Attend(null!, _shape, _queries, default, _case.Keys(), _output, Tokens), Throws.ArgumentNullException);
    }

    [Test]
    public void Attend_ShortSpans_NameGotAndExpected()
    {
        Assert.That(() => Attend(_queries.AsSpan(1), default, _case.Keys(), _output, Tokens), Throws.ArgumentException.With.Message.Contains("queries.Length: got 191 elements, expected at least 192"));
        Assert.That(() => Attend(_queries, new float[5], _case.Keys(), _output, Tokens), Throws.ArgumentException.With.Message.Contains("sinkQueries.Length: got 5"));
        Assert.That(() => Attend(_queries, default, _case.Keys(), new float[191], Tokens), Throws.ArgumentException.With.Message.Contains("output.Length: got 191"));
        Assert.That(() => Attend(_queries, default, _case.Keys(), _output, -1), Throws.InstanceOf<ArgumentException>().With.Message.Contains("tokens: got -1"));
        Assert.That(() => Attend(_queries, default, _case.Keys() with { Past = 0, HeadStride = 1 << 30 }, _output, 1 << 30), Throws.InstanceOf<ArgumentException>().With.Message.Contains("tokens * heads"));
    }

    [Test]
    public void Attend_OutputOverlapsQueries_IsRefused()
    {
        float[] shared = new float[2 * _output.Length];
        Assert.That(() => Attend(shared, default, _case.Keys(), shared.AsSpan(_output.Length - 1), Tokens), Throws.ArgumentException.With.Message.Contains("output"));
        Assert.That(() => Attend(_queries, shared, _case.Keys(), shared, Tokens), Throws.ArgumentException.With.Message.Contains("output"));
    }

    [Test]
    public void Attend_DefaultShape_IsRefused()
        => Assert.That(() => PrefillAttention.Attend(Contexts.For(Isa.Scalar), default, _queries, default, _case.Keys(), _output, Tokens), Throws.InstanceOf<ArgumentException>().With.Message.Contains("shape"));

    [Test]
    public void Compute_WindowOrSinks_AreRefused()
    {
        float[] sums = new float[1000];
        KernelContext context = Contexts.For(Isa.Scalar);
        Assert.That(() => WindowScores.Compute(context, _shape, _queries, _case.Keys(window: 4), sums, Tokens), Throws.InstanceOf<ArgumentException>().With.Message.Contains("Window: got 4, expected 0 to 0"));
        Assert.That(() => Attend(_queries, default, _case.Keys(sinks: 4), _output, Tokens, sums), Throws.InstanceOf<ArgumentException>().With.Message.Contains("Sinks: got 4"));
        Assert.That(() => Attend(_queries, default, _case.Keys(window: 4), _output, Tokens, sums), Throws.InstanceOf<ArgumentException>().With.Message.Contains("Window: got 4"));
        Assert.That(() => PrefillAttention.ColumnSums(context, _shape, _queries, _case.Keys(sinks: 4), sums, Tokens), Throws.InstanceOf<ArgumentException>().With.Message.Contains("Sinks: got 4"));
    }

    [Test]
    public void Compute_ShortSpans_NameGotAndExpected()
    {
        KernelContext context = Contexts.For(Isa.Scalar);
        Assert.That(() => WindowScores.Compute(context, _shape, _queries.AsSpan(1), _case.Keys(), new float[60], Tokens), Throws.ArgumentException.With.Message.Contains("queries.Length: got 191"));
        Assert.That(() => WindowScores.Compute(context, _shape, _queries, _case.Keys(), new float[59], Tokens), Throws.ArgumentException.With.Message.Contains("probabilities.Length: got 59 elements, expected at least 60"));
        Assert.That(() => Attend(_queries, default, _case.Keys(), _output, Tokens, new float[12]), Throws.ArgumentException.With.Message.Contains("columnSums.Length: got 12 elements, expected at least 13"));
        Assert.That(() => PrefillAttention.ColumnSums(context, _shape, _queries.AsSpan(1), _case.Keys(), new float[10], Tokens), Throws.ArgumentException.With.Message.Contains("queries.Length: got 191"));
        Assert.That(() => PrefillAttention.ColumnSums(context, _shape, _queries, _case.Keys(), new float[9], Tokens), Throws.ArgumentException.With.Message.Contains("sums.Length: got 9 elements, expected at least 10"));
        float[] shared = new float[300];
        Assert.That(() => WindowScores.Compute(context, _shape, shared, _case.Keys(), shared, Tokens), Throws.ArgumentException.With.Message.Contains("overlaps"));
        Assert.That(() => Attend(shared, default, _case.Keys(), _output, Tokens, shared), Throws.ArgumentException.With.Message.Contains("columnSums: overlaps"));
        Assert.That(() => PrefillAttention.ColumnSums(context, _shape, shared, _case.Keys(), shared, Tokens), Throws.ArgumentException.With.Message.Contains("sums: overlaps"));
    }

    private static void Attend(ReadOnlySpan<float> queries, ReadOnlySpan<float> sinkQueries, in PrefillKeys keys, Span<float> output, int tokens, Span<float> columnSums = default)
        => PrefillAttention.Attend(Contexts.For(Isa.Scalar), _shape, queries, sinkQueries, keys, output, tokens, columnSums);
}
