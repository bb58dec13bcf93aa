using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Attention;

/// <summary>
/// Random decode attention. K, V, queries, weights and output each end at a guard page. Unused rows of K and V hold NaN.
/// </summary>
internal sealed unsafe class DecodeAttentionCase : IDisposable
{
    private readonly List<AttentionRun> _runs = [];
    private readonly List<int> _firstRun = [0];
    private readonly List<GuardedBuffer> _buffers = [];
    private int _seed;

    public DecodeAttentionCase(AttentionShape shape, int seed = TestData.Seed)
    {
        Shape = shape;
        _seed = seed;
    }

    public AttentionShape Shape { get; }

    /// <summary>Factor of the random queries: large makes the softmax sharp.</summary>
    public float QueryScale { get; init; } = 0.5f;

    /// <summary>Bytes by which rows are moved off their natural alignment; they then end that much before the guard page.</summary>
    public int Skew { get; init; }

    public bool Weights { get; init; }

    /// <summary>If given, most runs have keys that are rotated on reading, by ranks at random.</summary>
    public RankAngles? KeyAngles { get; init; }

    public AttentionRun[] Runs => [.. _runs];

    public int[] FirstRun => [.. _firstRun];

    public int OutputLength => (_firstRun.Count - 1) * Shape.Group * Shape.HeadDim;

    /// <summary>The largest |v|, by which errors are measured.</summary>
    public double MaxValue { get; private set; } = 1e-30;

    /// <summary>One stream of contiguous runs, each with its own queries.</summary>
    public DecodeAttentionCase Stream(params int[] runTokens)
    {
        foreach (int tokens in runTokens) _runs.Add(tokens == 0 ? default : Run(Rows(tokens), Rows(tokens), Queries(), tokens));
        _firstRun.Add(_runs.Count);
        return this;
    }

    /// <summary>One stream of shuffled pages with shared queries; NaN rows lie between them.</summary>
    public DecodeAttentionCase Paged(int tokens, int page)
    {
        int pages = (tokens + page - 1) / page;
        int[] order = [.. Enumerable.Range(0, pages)];
        new Random(_seed).Shuffle(order);
        byte* keys = Rows(pages * (page + 1)), values = Rows(pages * (page + 1));
        float* queries = Queries();
        for (int i = 0; i < pages; i++)
        {
            long first = order[i] * (page + 1L);
            Fill(keys + ((first + page) * Shape.RowBytes), Shape.HeadDim, float.NaN);
            Fill(values + ((first + page) * Shape.RowBytes), Shape.HeadDim, float.NaN);
            _runs.Add(Run(keys + (first * Shape.RowBytes), values + (first * Shape.RowBytes), queries, Math.Min(page, tokens - (i * page))));
        }

        _firstRun.Add(_runs.Count);
        return this;
    }

    /// <summary>Takes the first row from a run; its end, before the guard page, stays.</summary>
    public void DropFirstRow(int run)
    {
        AttentionRun of = _runs[run];
        _runs[run] = of with
        {
            Keys = (byte*)of.Keys + Shape.RowBytes,
            Values = (byte*)of.Values + Shape.RowBytes,
            ColumnWeights = of.ColumnWeights == null ? null : of.ColumnWeights + 1,
            Ranks = of.Ranks == null ? null : of.Ranks + 1,
            Tokens = of.Tokens - 1,
        };
    }

    public void SetKey(int run, int row, int element, float value) => Set(_runs[run].Keys, ((long)row * Shape.HeadDim) + element, value);

    public void SetValue(int run, int row, int element, float value) => Set(_runs[run].Values, ((long)row * Shape.HeadDim) + element, value);

    public float[] Attend(KernelContext context)
    {
        using GuardedBuffer output = new(OutputLength * sizeof(float));
        output.AsSpan<float>().Fill(float.NaN);
        DecodeAttention.Attend(context, Shape, Runs, FirstRun, output.AsSpan<float>(), KeyAngles);
        output.AssertCanary();
        foreach (GuardedBuffer buffer in _buffers) buffer.AssertCanary();
        return output.AsSpan<float>().ToArray();
    }

    /// <summary>Attends and compares output and weights with the oracle.</summary>
    public void AssertMatchesOracle(KernelContext context, string what = "", double tolerance = 1e-5)
    {
        double[]?[] weights = new double[_runs.Count][];
        double[] expected = ReferenceAttention.Decode(Shape, Runs, FirstRun, weights, KeyAngles?.Table);
        AssertMatches(context, expected, weights, what, tolerance);
    }

    /// <summary>As <see cref="AssertMatchesOracle"/>, with the oracle's answer at hand.</summary>
    public void AssertMatches(KernelContext context, double[] expected, double[]?[] weights, string what, double tolerance = 1e-5)
    {
        foreach (AttentionRun run in _runs)
            if (run.ColumnWeights != null) new Span<float>(run.ColumnWeights, run.Tokens).Fill(float.NaN);
        TestData.AssertClose(Attend(context), expected, tolerance * MaxValue, 0, what);
        for (int r = 0; r < _runs.Count; r++)
            if (_runs[r].ColumnWeights != null) TestData.AssertClose(new ReadOnlySpan<float>(_runs[r].ColumnWeights, _runs[r].Tokens), weights[r], tolerance * Shape.Group, 0, $"{what} weights of run {r}");
    }

    public void Dispose()
    {
        foreach (GuardedBuffer buffer in _buffers) buffer.Dispose();
    }

    private AttentionRun Run(byte* keys, byte* values, float* queries, int tokens)
    {
        for (long i = 0; i < (long)tokens * Shape.HeadDim; i++) MaxValue = Math.Max(MaxValue, Math.Abs(ReferenceAttention.Element(values, Shape.CacheType, i)));
        // Every third run does without weights.
        bool wanted = Weights && _runs.Count % 3 != 2;
        int* ranks = null;
        if (KeyAngles is not null && _runs.Count % 4 != 3)
        {
            Random random = new(_seed);
            ranks = (int*)Buffer(tokens * sizeof(int));
            for (int i = 0; i < tokens; i++) ranks[i] = random.Next(KeyAngles.Count);
        }

        return new AttentionRun { Keys = keys, Values = values, Queries = queries, Tokens = tokens, ColumnWeights = wanted ? (float*)Buffer(tokens * sizeof(float)) : null, Ranks = ranks };
    }

    private byte* Rows(int tokens)
    {
        byte* rows = Buffer((tokens * Shape.RowBytes) + Skew);
        float[] random = TestData.Random(tokens * Shape.HeadDim, ++_seed);
        for (int i = 0; i < random.Length; i++) Set(rows, i, random[i]);
        return rows;
    }

    private float* Queries()
    {
        int count = Shape.Group * Shape.HeadDim;
        float* queries = (float*)Buffer((count * sizeof(float)) + (Skew / 4 * 4));
        TestData.Random(count, ++_seed, QueryScale).CopyTo(new Span<float>(queries, count));
        return queries;
    }

    private byte* Buffer(int bytes)
    {
        GuardedBuffer buffer = new(bytes);
        _buffers.Add(buffer);
        return buffer.Pointer;
    }

    private void Fill(byte* row, int count, float value)
    {
        for (int i = 0; i < count; i++) Set(row, i, value);
    }

    private void Set(void* memory, long index, float value)
    {
        switch (Shape.CacheType)
        {
            case DataType.F32: ((float*)memory)[index] = value; break;
            case DataType.F16: ((Half*)memory)[index] = (Half)value; break;
            default: ((ushort*)memory)[index] = (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16); break;
        }
    }
}
