namespace Equip.Kernels.Attention;

/// <summary>Consecutive rows of one stream, attended by one worker in one go.</summary>
internal struct DecodePart
{
    /// <summary>Whose rows.</summary>
    public int Stream;

    /// <summary>The run that holds the first row.</summary>
    public int Run;

    /// <summary>Rows of that run to skip.</summary>
    public int Skip;

    /// <summary>Which partial result this part makes; -1 if it is the whole stream.</summary>
    public int Partial;

    /// <summary>How many rows.</summary>
    public long Rows;

    /// <summary>Rows before the first, those of earlier streams included.</summary>
    public long Before;
}

/// <summary>
/// Cuts the rows of all streams, laid end to end, into chunks of equal size (flash-decoding). Depends on row counts, row size
/// and thread count only, so that results never depend on timing. A cut leaves no piece of a stream under <see cref="Smallest"/>
/// rows, and small jobs get fewer chunks: a chunk costs a claim, a cut costs a merge.
/// </summary>
internal static unsafe class DecodePlan
{
    private const int Grain = 16;
    private const int Smallest = 64;
    private const int ChunksPerThread = 4;
    private const int BytesAlone = 24 * 1024;
    private const int BytesPerChunk = 96 * 1024;

    /// <summary>Chunks for <paramref name="rows"/> rows in all, of <paramref name="rowBytes"/> K and V bytes each.</summary>
    public static int Chunks(long rows, int rowBytes, int threads)
    {
        long bytes = rows * rowBytes;
        if (threads == 1 || bytes < BytesAlone) return 1;
        return threads * (int)Math.Clamp(bytes / ((long)BytesPerChunk * threads), 1, ChunksPerThread);
    }

    /// <summary>Most parts that <see cref="Fill"/> writes.</summary>
    public static long MaxParts(int streams, int chunks) => (long)streams + chunks - 1;

    /// <summary>Most partial results: every cut makes one, and one more in a stream not cut before.</summary>
    public static long MaxPartials(int chunks) => 2L * (chunks - 1);

    /// <summary>Writes the parts of all chunks, and zeros for the streams without rows.</summary>
    public static void Fill(ref DecodeCall call)
    {
        int part = 0, chunk = 1, outputLength = call.Group * call.HeadDim;
        long before = 0;
        call.FirstPart[0] = 0;
        for (int s = 0; s < call.Streams; s++)
        {
            long rows = 0, begin = 0;
            for (int r = call.FirstRun[s]; r < call.FirstRun[s + 1]; r++) rows += call.Runs[r].Tokens;
            if (rows == 0) new Span<float>(call.Output + ((long)s * outputLength), outputLength).Clear();
            DecodePart next = new() { Stream = s, Run = call.FirstRun[s], Before = before };
            while (begin < rows)
            {
                long target = chunk < call.Chunks ? (call.Rows * chunk / call.Chunks) - before : rows;
                long end = target >= rows ? rows : Snap(target, begin, rows);
                if (end > begin)
                {
                    if (begin == 0 && end < rows) call.CutParts[call.CutStreams++] = part;
                    next.Rows = end - begin;
                    next.Partial = next.Rows == rows ? -1 : call.Partials++;
                    call.Parts[part++] = next;
                    if (end < rows) Advance(call.Runs, ref next);
                    begin = end;
                }

                if (target < rows) call.FirstPart[chunk++] = part;
            }

            before += rows;
        }

        while (chunk <= call.Chunks) call.FirstPart[chunk++] = part;
    }

    // The cut nearest to the target that leaves no small piece: at a multiple of the grain, or at either end of what is left of the stream.
    private static long Snap(long target, long begin, long end)
    {
        long cut = (target + (Grain / 2)) / Grain * Grain;
        if (cut - begin >= Smallest && end - cut >= Smallest) return cut;
        return target - begin < end - target ? begin : end;
    }

    private static void Advance(AttentionRun* runs, ref DecodePart part)
    {
        long skip = part.Skip + part.Rows;
        for (; skip >= runs[part.Run].Tokens; part.Run++) skip -= runs[part.Run].Tokens;
        part.Skip = (int)skip;
        part.Before += part.Rows;
    }
}
