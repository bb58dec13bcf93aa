using Equip.Kernels.Rope;

namespace Equip.Kernels.Attention;

/// <summary>What the workers of one call share: arguments, the partition, and scratch memory. Holds pointers and counts only.</summary>
internal unsafe struct DecodeCall
{
    public AttentionRun* Runs;
    public int* FirstRun;
    public float* Output;

    /// <summary>How keys are rotated on reading, if they are.</summary>
    public BlockRotation Rotation;

    /// <summary>Whether some run wants column weights, so that raw scores are kept.</summary>
    public bool KeepsScores;

    /// <summary>Streams that are cut into several parts, and the partial results they make.</summary>
    public int CutStreams, Partials;

    /// <summary>All parts, chunk by chunk: chunk c has parts [FirstPart[c], FirstPart[c + 1]).</summary>
    public DecodePart* Parts;
    public int* FirstPart;

    /// <summary>The first part of every cut stream.</summary>
    public int* CutParts;

    public readonly int Streams, Chunks, Group, HeadDim, RowBytes;
    public readonly long Rows;
    public readonly float Scale;
    private readonly int _threads;
    private readonly long _workerBytes;
    private float* _partials;
    private float* _scores;
    private byte* _workers;

    public DecodeCall(in AttentionShape shape, int streams, long rows, int threads)
    {
        Streams = streams;
        Rows = rows;
        Group = shape.Group;
        HeadDim = shape.HeadDim;
        RowBytes = shape.RowBytes;
        Scale = shape.Scale;
        Chunks = DecodePlan.Chunks(rows, 2 * RowBytes, threads);
        _threads = threads;
        _workerBytes = DecodeWorker.Bytes(Group, HeadDim);
    }

    /// <summary>Floats of one partial result: maximum and sum of every head, then <c>[group, headDim]</c> values.</summary>
    public readonly long PartialLength => (long)Group * (2 + HeadDim);

    /// <summary>Lays the scratch memory out from <paramref name="start"/>; returns its size, which does not depend on the start.</summary>
    public long Place(byte* start)
    {
        byte* end = start;
        Parts = (DecodePart*)Take(ref end, DecodePlan.MaxParts(Streams, Chunks) * sizeof(DecodePart));
        FirstPart = (int*)Take(ref end, (Chunks + 1L) * sizeof(int));
        CutParts = (int*)Take(ref end, (long)Chunks * sizeof(int));
        _partials = (float*)Take(ref end, DecodePlan.MaxPartials(Chunks) * PartialLength * sizeof(float));
        _scores = (float*)Take(ref end, KeepsScores ? Group * (Rows + (DecodePlan.MaxParts(Streams, Chunks) * ScoreSlack)) * sizeof(float) : 0);
        _workers = Take(ref end, _threads * _workerBytes);
        return end - start;
    }

    /// <summary>The partial result of a part that is not a whole stream.</summary>
    public readonly float* Partial(in DecodePart part) => _partials + (part.Partial * PartialLength);

    /// <summary>Room for the raw scores of a part, <c>[group, ScoreStride]</c>.</summary>
    public readonly float* Scores(int part) => _scores + (Group * (Parts[part].Before + ((long)part * ScoreSlack)));

    /// <summary>From one head's kept scores to the next: a little more than the rows, so that vectors may read past them.</summary>
    public readonly long ScoreStride(int part) => Parts[part].Rows + ScoreSlack;

    /// <summary>A worker's own scratch memory, for <see cref="DecodeWorker"/>.</summary>
    public readonly byte* Worker(int worker) => _workers + (worker * _workerBytes);

    private const int ScoreSlack = 16;

    private static byte* Take(ref byte* end, long bytes)
    {
        byte* block = end;
        end += (bytes + 63) & ~63L;
        return block;
    }
}

/// <summary>One worker's scratch memory; all float arrays are 64-byte aligned, those per head padded to 16.</summary>
internal readonly unsafe struct DecodeWorker
{
    /// <summary>Blocks in use at a time: one summed, one scored, one prefetched.</summary>
    public const int BlockCount = 3;

    /// <summary>K rows that are rotated on reading, at a time: they share the first-level cache with what is prefetched.</summary>
    public const int RotatedRows = 16;

    /// <summary>Prepared queries and summed values, <c>[group, headDim]</c>.</summary>
    public readonly float* Queries, Values;

    /// <summary>Scores, then probabilities, of two blocks: <c>[group, DecodeBlock.Capacity]</c>.</summary>
    public readonly float* Scores, NextScores;

    /// <summary>Per head: running maximum, running sum, factor for what was summed before.</summary>
    public readonly float* Max, Sum, Rescale;

    /// <summary>The blocks.</summary>
    public readonly DecodeBlock* Blocks;

    /// <summary>The lines to fetch next.</summary>
    public readonly long* Ahead;

    /// <summary>Rotated K rows, <c>[RotatedRows, headDim]</c>.</summary>
    public readonly float* RotatedKeys;

    public DecodeWorker(byte* start, int group, int headDim)
    {
        RotatedKeys = (float*)start;
        Queries = RotatedKeys + ((long)RotatedRows * headDim);
        Values = Queries + ((long)group * headDim);
        Scores = Values + ((long)group * headDim);
        NextScores = Scores + ((long)group * DecodeBlock.Capacity);
        Max = NextScores + ((long)group * DecodeBlock.Capacity);
        Sum = Max + PaddedHeads(group);
        Rescale = Sum + PaddedHeads(group);
        Ahead = (long*)(Rescale + PaddedHeads(group));
        Blocks = (DecodeBlock*)(Ahead + DecodeAhead.Capacity);
    }

    public static long Bytes(int group, int headDim)
        => ((sizeof(float) * (((long)RotatedRows * headDim) + (2L * group * (headDim + DecodeBlock.Capacity)) + (3 * PaddedHeads(group)))) + (DecodeAhead.Capacity * sizeof(long)) + (BlockCount * sizeof(DecodeBlock)) + 63) & ~63L;

    /// <summary>Prepares for the first block of a part.</summary>
    public void Clear(int group, int headDim)
    {
        new Span<float>(Max, (int)PaddedHeads(group)).Fill(float.MinValue);
        new Span<float>(Sum, (int)PaddedHeads(group)).Clear();
        new Span<float>(Values, group * headDim).Clear();
    }

    private static long PaddedHeads(int group) => (group + 15) & ~15L;
}
