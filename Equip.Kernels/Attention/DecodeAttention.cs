using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using System.Runtime.CompilerServices;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;

namespace Equip.Kernels.Attention;

/// <summary>
/// Attention of one query token per sequence over the runs of its cache: an online softmax across runs. All query heads of
/// a group share each K and V load. The order of rows carries no meaning.
/// </summary>
public static partial class DecodeAttention
{
    private const float SmallestNormal = 1.17549435e-38f;

    // Floats of partial results that one thread merges faster than two agree to share them.
    private const long MergedAlone = 16 * 1024;

    /// <summary>Attends.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="shape">Heads, head dimension, cache type.</param>
    /// <param name="runs">The runs of all streams, stream by stream.</param>
    /// <param name="firstRun">
    /// <c>[streams + 1]</c>: stream s (sequence s / kvHeads, KV head s % kvHeads) owns runs [firstRun[s], firstRun[s + 1]).
    /// </param>
    /// <param name="output">
    /// <c>[streams, group, headDim]</c> = <c>[sequences, heads, headDim]</c>; may not overlap anything that is read. A stream without rows
    /// gives zeros.
    /// </param>
    /// <param name="keyAngles">The angles of runs that have <see cref="AttentionRun.Ranks"/>; null if there are none.</param>
    /// <remarks>
    /// A NaN in a row or a query makes the outputs and weights of the heads that see it NaN, and no others. A row whose score is
    /// -infinity does not count; a head that has no other rows gives zeros.
    /// </remarks>
    /// <exception cref="ArgumentException">A length, count or pointer does not fit. Nothing has been written then.</exception>
    [SkipLocalsInit]
    public static unsafe void Attend(KernelContext context, in AttentionShape shape, ReadOnlySpan<AttentionRun> runs, ReadOnlySpan<int> firstRun, Span<float> output, RankAngles? keyAngles = null)
    {
        ArgumentNullException.ThrowIfNull(context);
        Require.InRange(shape.KvHeads, 1, int.MaxValue);
        Require.AtLeast(firstRun.Length, 1);
        int streams = firstRun.Length - 1;
        Require.Multiple(streams, shape.KvHeads);
        Require.AtLeast(output.Length, (long)streams * shape.Group * shape.HeadDim);
        if (keyAngles is not null && keyAngles.Table.Options.HeadDim != shape.HeadDim)
            ThrowHeadDim(keyAngles.Table.Options.HeadDim, shape.HeadDim, nameof(keyAngles));
        long rows = CheckRuns(runs, firstRun, keyAngles?.Count ?? 0, out bool weights, out bool rotates);
        if (streams == 0) return;
        DecodeCall call = new(shape, streams, rows, context.Threads);
        call.KeepsScores = weights;
        if (rotates) call.Rotation = Rotation(context, shape, keyAngles!);
        long bytes = call.Place(null);
        call.Place((byte*)context.SharedScratch((long)BitOperations.RoundUpToPowerOf2((ulong)bytes)));
        fixed (AttentionRun* run = runs)
        fixed (int* first = firstRun)
        fixed (float* destination = output)
        {
            call.Runs = run;
            call.FirstRun = first;
            call.Output = destination;
            DecodePlan.Fill(ref call);
            switch (context.Isa, shape.CacheType)
            {
                case (Isa.Avx512, DataType.F32): Run<Avx512Path<F32Row, F32Row>, Avx512Path<F32Row, F32Row>>(context.Pool, &call); break;
                case (Isa.Avx512, DataType.F16): Run<Avx512Path<F32Row, F32Row>, Avx512Path<F16Row, PlainF16Row>>(context.Pool, &call); break;
                case (Isa.Avx512, _): Run<Avx512Path<F32Row, F32Row>, Avx512Path<Bf16Row, Bf16Row>>(context.Pool, &call); break;
                case (Isa.Avx2, DataType.F32): Run<Avx2Path<F32Row, F32Row>, Avx2Path<F32Row, F32Row>>(context.Pool, &call); break;
                case (Isa.Avx2, DataType.F16): Run<Avx2Path<F32Row, F32Row>, Avx2Path<F16Row, PlainF16Row>>(context.Pool, &call); break;
                case (Isa.Avx2, _): Run<Avx2Path<F32Row, F32Row>, Avx2Path<Bf16Row, Bf16Row>>(context.Pool, &call); break;
                case (_, DataType.F32): Run<ScalarPath<F32Row>, ScalarPath<F32Row>>(context.Pool, &call); break;
                case (_, DataType.F16): Run<ScalarPath<F32Row>, ScalarPath<F16Row>>(context.Pool, &call); break;
                default: Run<ScalarPath<F32Row>, ScalarPath<Bf16Row>>(context.Pool, &call); break;
            }
        }
    }

    private static unsafe BlockRotation Rotation(KernelContext context, in AttentionShape shape, RankAngles angles) => new()
    {
        Angles = angles.First,
        Pairs = angles.Table.Pairs,
        HeadDim = shape.HeadDim,
        Layout = angles.Table.Options.Layout,
        Type = shape.CacheType,
        Isa = context.Isa,
    };

    // Keys that are rotated on reading are scored as float32.
    private static unsafe void Run<TRotated, TPath>(WorkerPool pool, DecodeCall* call)
        where TRotated : struct, IDecodePath
        where TPath : struct, IDecodePath
    {
        if (call->Rotation.Angles != null) pool.Run(new AttendJob<TRotated, TPath>(call), call->Chunks);
        else pool.Run(new AttendJob<TPath, TPath>(call), call->Chunks);
        if (call->CutStreams == 0) return;
        MergeJob<TPath> merge = new(call);
        int heads = call->CutStreams * call->Group;
        if (call->Partials * call->PartialLength <= MergedAlone)
            for (int head = 0; head < heads; head++) merge.Execute(head, 0);
        else pool.Run(merge, heads);
        if (call->KeepsScores) pool.Run(new WeightsJob<TPath>(call), call->Chunks);
    }

    // Returns the rows of all streams.
    private static unsafe long CheckRuns(ReadOnlySpan<AttentionRun> runs, ReadOnlySpan<int> firstRun, int rotations, out bool weights, out bool rotates)
    {
        long rows = 0;
        weights = rotates = false;
        int previous = 0;
        foreach (int first in firstRun)
        {
            if (first < previous || first > runs.Length) ThrowFirst(first, previous, runs.Length, nameof(firstRun));
            previous = first;
        }

        for (int r = firstRun[0]; r < previous; r++)
        {
            ref readonly AttentionRun run = ref runs[r];
            if (run.Tokens <= 0)
            {
                if (run.Tokens < 0) ThrowRun(run, r, nameof(runs));
                continue;
            }

            if (run.Keys == null || run.Values == null || run.Queries == null) ThrowRun(run, r, nameof(runs));
            rows += run.Tokens;
            weights |= run.ColumnWeights != null;
            if (run.Ranks == null) continue;
            rotates = true;
            int wrong = rotations == 0 ? 0 : new ReadOnlySpan<int>(run.Ranks, run.Tokens).IndexOfAnyExceptInRange(0, rotations - 1);
            if (wrong >= 0) ThrowRank(r, wrong, run.Ranks[wrong], rotations, nameof(runs));
        }

        return rows;
    }

    // Messages apart: a method that writes its own clears room for them on every call.
    [DoesNotReturn]
    private static void ThrowHeadDim(int headDim, int expected, string name) => throw new ArgumentException($"{name}: got headDim {headDim}, expected {expected}", name);

    [DoesNotReturn]
    private static void ThrowFirst(int first, int previous, int runs, string name) => throw new ArgumentException($"{name}: got {first} after {previous}, expected ascending values in [0, {runs}]", name);

    [DoesNotReturn]
    private static unsafe void ThrowRun(in AttentionRun run, int index, string name) => throw new ArgumentException(
        run.Tokens < 0
            ? $"{name}[{index}].Tokens: got {run.Tokens}, expected at least 0"
            : $"{name}[{index}].{(run.Keys == null ? "Keys" : run.Values == null ? "Values" : "Queries")}: got null, expected a pointer as Tokens is {run.Tokens}",
        name);

    [DoesNotReturn]
    private static void ThrowRank(int run, int index, int rank, int rotations, string name)
        => throw new ArgumentException($"{name}[{run}].Ranks[{index}]: got {rank}, expected 0 to {rotations - 1}, as keyAngles has {rotations} rotations", name);
}
