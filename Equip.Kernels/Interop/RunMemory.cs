using System.Buffers;
using Equip.Kernels.Attention;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Interop;

/// <summary>
/// What a decode attention call reads and writes. Nothing that is written may be read or written twice; the check is one
/// comparison a pointer where column weights lie in order and apart from the rest, as they do in one array, and sorts otherwise.
/// </summary>
internal unsafe ref struct RunMemory
{
    private readonly ReadOnlySpan<EquipAttentionRun> _runs;
    private readonly int _element, _rowBytes;
    private readonly long _queryBytes;

    public RunMemory(ReadOnlySpan<EquipAttentionRun> runs, in AttentionShape shape)
    {
        _runs = runs;
        _element = shape.CacheType.Size();
        _rowBytes = shape.RowBytes;
        _queryBytes = (long)shape.Group * shape.HeadDim * sizeof(float);
    }

    /// <summary>The runs as the kernel takes them.</summary>
    public readonly void CopyTo(Span<AttentionRun> runs)
    {
        for (int i = 0; i < _runs.Length; i++)
        {
            ref readonly EquipAttentionRun run = ref _runs[i];
            if ((((nuint)run.Keys | (nuint)run.Values) & (nuint)(_element - 1)) != 0) ThrowMisaligned(i, "keys or values", _element);
            if (((nuint)run.Queries | (nuint)run.ColumnWeights) % sizeof(float) != 0) ThrowMisaligned(i, "queries or column_weights", sizeof(float));
            runs[i] = new AttentionRun { Keys = run.Keys, Values = run.Values, Queries = run.Queries, ColumnWeights = run.ColumnWeights, Tokens = run.Tokens };
        }
    }

    /// <summary>Checks that <paramref name="output"/> and the column weights lie apart from everything.</summary>
    public readonly void RequireApart(ReadOnlySpan<float> output, ReadOnlySpan<int> firstRun)
    {
        Block first = Of(firstRun), list = Of(_runs), result = Of(output), weights = new(nuint.MaxValue, 0);
        if (result.Meets(first) || result.Meets(list)) Argument.ThrowOverlap("output", result.Meets(first) ? "first_run" : "runs");
        bool simple = true;
        nuint last = 0;
        foreach (ref readonly EquipAttentionRun run in _runs)
        {
            if (run.Tokens <= 0) continue;
            Block received = Weights(run);
            if (result.Meets(Rows(run.Keys, run)) || result.Meets(Rows(run.Values, run)) || result.Meets(Queries(run)) || result.Meets(received)) Argument.Throw("output: overlaps a run");
            if (run.ColumnWeights == null) continue;
            simple &= received.Start >= last;
            last = received.End;
            weights = new(Math.Min(weights.Start, received.Start), Math.Max(weights.End, received.End));
        }

        if (weights.End == 0) return;
        simple &= !weights.Meets(first) && !weights.Meets(list);
        foreach (ref readonly EquipAttentionRun run in _runs)
            if (run.Tokens > 0) simple &= !weights.Meets(Rows(run.Keys, run)) && !weights.Meets(Rows(run.Values, run)) && !weights.Meets(Queries(run));
        if (!simple) Sweep(first, list);
    }

    /// <summary>Sorts all blocks by address: a block that is written must begin after everything before it, one that is read after what is written.</summary>
    private readonly void Sweep(Block firstRun, Block list)
    {
        int count = 0;
        Block[] blocks = ArrayPool<Block>.Shared.Rent((4 * _runs.Length) + 2);
        blocks[count++] = firstRun;
        blocks[count++] = list;
        foreach (ref readonly EquipAttentionRun run in _runs)
        {
            if (run.Tokens <= 0) continue;
            blocks[count++] = Rows(run.Keys, run);
            blocks[count++] = Rows(run.Values, run);
            blocks[count++] = Queries(run);
            if (run.ColumnWeights != null) blocks[count++] = Weights(run) with { Written = true };
        }

        blocks.AsSpan(0, count).Sort(static (a, b) => a.Start.CompareTo(b.Start));
        nuint read = 0, written = 0;
        bool apart = true;
        foreach (Block block in blocks.AsSpan(0, count))
        {
            apart &= block.Start >= written && (!block.Written || block.Start >= read);
            if (block.Written) written = Math.Max(written, block.End);
            else read = Math.Max(read, block.End);
        }

        ArrayPool<Block>.Shared.Return(blocks);
        if (!apart) Argument.Throw("column_weights: overlap each other or something that is read");
    }

    private static void ThrowMisaligned(int run, string names, int alignment) => Argument.Throw($"runs[{run}]: {names} at an address that is not a multiple of {alignment}");

    private readonly Block Rows(void* rows, in EquipAttentionRun run) => new((nuint)rows, (nuint)rows + ((nuint)run.Tokens * (nuint)_rowBytes));

    private readonly Block Queries(in EquipAttentionRun run) => new((nuint)run.Queries, (nuint)run.Queries + (nuint)_queryBytes);

    private static Block Weights(in EquipAttentionRun run)
        => run.ColumnWeights == null ? default : new((nuint)run.ColumnWeights, (nuint)run.ColumnWeights + ((nuint)run.Tokens * sizeof(float)));

    private static Block Of<T>(ReadOnlySpan<T> span)
        where T : unmanaged
    {
        fixed (T* start = span) return new((nuint)start, (nuint)start + ((nuint)span.Length * (nuint)sizeof(T)));
    }

    private readonly record struct Block(nuint Start, nuint End, bool Written = false)
    {
        public bool Meets(Block other) => Start < other.End && other.Start < End;
    }
}
