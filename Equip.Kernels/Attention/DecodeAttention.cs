using System.Numerics;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Attention;

/// <summary>
/// Attention of one query token per sequence over the runs of its cache: an online softmax across runs. All query heads of
/// a group share each K and V load. The order of rows carries no meaning.
/// </summary>
public static partial class DecodeAttention
{
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
    /// <remarks>
    /// A NaN in a row or a query makes the outputs and weights of the heads that see it NaN, and no others. A row whose score is
    /// -infinity does not count; a head that has no other rows gives zeros.
    /// </remarks>
    /// <exception cref="ArgumentException">A length, count or pointer does not fit. Nothing has been written then.</exception>
    public static unsafe void Attend(KernelContext context, in AttentionShape shape, ReadOnlySpan<AttentionRun> runs, ReadOnlySpan<int> firstRun, Span<float> output)
    {
        ArgumentNullException.ThrowIfNull(context);
        Require.InRange(shape.KvHeads, 1, int.MaxValue);
        Require.AtLeast(firstRun.Length, 1);
        int streams = firstRun.Length - 1;
        Require.Multiple(streams, shape.KvHeads);
        Require.AtLeast(output.Length, (long)streams * shape.Group * shape.HeadDim);
        long rows = CheckRuns(runs, firstRun, out bool weights);
        DecodeCall call = new(shape, streams, rows, context.Threads) { KeepsScores = weights };
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
                case (Isa.Avx512, DataType.F32): Run<Avx512Path<F32Row>>(context.Pool, call); break;
                case (Isa.Avx512, DataType.F16): Run<Avx512Path<F16Row>>(context.Pool, call); break;
                case (Isa.Avx512, _): Run<Avx512Path<Bf16Row>>(context.Pool, call); break;
                case (Isa.Avx2, DataType.F32): Run<Avx2Path<F32Row>>(context.Pool, call); break;
                case (Isa.Avx2, DataType.F16): Run<Avx2Path<F16Row>>(context.Pool, call); break;
                case (Isa.Avx2, _): Run<Avx2Path<Bf16Row>>(context.Pool, call); break;
                case (_, DataType.F32): Run<ScalarPath<F32Row>>(context.Pool, call); break;
                case (_, DataType.F16): Run<ScalarPath<F16Row>>(context.Pool, call); break;
                default: Run<ScalarPath<Bf16Row>>(context.Pool, call); break;
            }
        }
    }

    private static void Run<TPath>(WorkerPool pool, in DecodeCall call)
        where TPath : struct, IDecodePath
    {
        pool.Run(new AttendJob<TPath> { Call = call }, call.Chunks);
        if (call.CutStreams == 0) return;
        MergeJob<TPath> merge = new() { Call = call };
        int heads = call.CutStreams * call.Group;
        if (call.Partials * call.PartialLength <= MergedAlone)
            for (int head = 0; head < heads; head++) merge.Execute(head, 0);
        else pool.Run(merge, heads);
        if (call.KeepsScores) pool.Run(new WeightsJob<TPath> { Call = call }, call.Chunks);
    }

    // Returns the rows of all streams.
    private static unsafe long CheckRuns(ReadOnlySpan<AttentionRun> runs, ReadOnlySpan<int> firstRun, out bool weights)
    {
        long rows = 0;
        weights = false;
        int previous = 0;
        foreach (int first in firstRun)
        {
            if (first < previous || first > runs.Length)
                throw new ArgumentException($"firstRun: got {first} after {previous}, expected ascending values in [0, {runs.Length}]", nameof(firstRun));
            previous = first;
        }

        for (int r = firstRun[0]; r < previous; r++)
        {
            ref readonly AttentionRun run = ref runs[r];
            if (run.Tokens <= 0)
            {
                if (run.Tokens < 0) throw new ArgumentException($"runs[{r}].Tokens: got {run.Tokens}, expected at least 0", nameof(runs));
                continue;
            }

            if (run.Keys == null || run.Values == null || run.Queries == null)
                throw new ArgumentException($"runs[{r}].{(run.Keys == null ? "Keys" : run.Values == null ? "Values" : "Queries")}: got null, expected a pointer as Tokens is {run.Tokens}", nameof(runs));
            rows += run.Tokens;
            weights |= run.ColumnWeights != null;
        }

        return rows;
    }
}
