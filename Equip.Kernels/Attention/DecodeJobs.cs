using System.Runtime.CompilerServices;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;

namespace Equip.Kernels.Attention;

/// <summary>Attends to the parts of a chunk; <typeparamref name="TKeys"/> is the path of the K rows, as they are when they are scored.</summary>
internal readonly unsafe struct AttendJob<TKeys, TPath> : IParallelJob
    where TKeys : struct, IDecodePath
    where TPath : struct, IDecodePath
{
    private readonly DecodeCall* _call;

    public AttendJob(DecodeCall* call) => _call = call;

    private ref DecodeCall Call => ref *_call;

    public void Execute(int chunk, int worker)
    {
        DecodeWorker memory = new(Call.Worker(worker), Call.Group, Call.HeadDim);
        Walk walk = new() { Block = memory.Blocks, Next = memory.Blocks + 1, AfterNext = memory.Blocks + 2 };
        int end = Call.FirstPart[chunk + 1];
        for (int part = Call.FirstPart[chunk]; part < end; part++)
        {
            Attend(part, part + 1 < end, ref walk, memory);
            Finish(part, memory);
        }
    }

    // The next block is scored between a block's softmax and its values, so that each step starts while the one before, which it does
    // not depend on, drains. While rows are read, those that are read next are fetched, at the end of a part those of the part that follows:
    // further ahead they would leave the first-level cache again, and what comes back from the second-level cache waits for the lines on their
    // way from memory.
    [SkipLocalsInit]
    private void Attend(int part, bool more, ref Walk walk, in DecodeWorker memory)
    {
        memory.Clear(Call.Group, Call.HeadDim);
        float* scores = memory.Scores, nextScores = memory.NextScores, prepared = null;
        if (!walk.Begun) Begin(part, walk.Block, ref walk);
        walk.Begun = false;
        walk.Rows.Next(walk.Next);
        Score(walk.Block, KeysAhead(walk.Next, walk.Block, memory), memory, ref prepared, scores);
        while (walk.Block->Count > 0)
        {
            DecodeBlock* block = walk.Block;
            walk.Rows.Next(walk.AfterNext);
            if (more && walk.Next->Count == 0) Begin(part + 1, walk.AfterNext, ref walk);
            if (Call.KeepsScores) Keep(part, block, scores);
            TPath.Softmax(scores, block->Count, Call.Group, memory.Max, memory.Sum, memory.Rescale);
            Score(walk.Next, new DecodeAhead(block->Values, block->Count, Call.RowBytes, memory.Ahead), memory, ref prepared, nextScores);
            TPath.Accumulate((byte**)block->Values, KeysAhead(walk.AfterNext, walk.Next, memory), block->Count, scores, memory.Rescale, Call.Group, Call.HeadDim, memory.Values);
            walk.Turn();
            float* spent = scores;
            scores = nextScores;
            nextScores = spent;
        }

        if (walk.Begun) walk.Turn();
    }

    private void Begin(int part, DecodeBlock* block, ref Walk walk)
    {
        walk.Rows = new DecodeRows(Call.Runs, Call.Parts[part], Call.RowBytes, Call.Rotation.Angles != null);
        walk.Rows.Next(block);
        walk.Begun = true;
    }

    // After the last K rows the last V rows are read next.
    private DecodeAhead KeysAhead(DecodeBlock* keys, DecodeBlock* values, in DecodeWorker memory)
        => keys->Count > 0 ? new(keys->Keys, keys->Count, Call.RowBytes, memory.Ahead) : new(values->Values, values->Count, Call.RowBytes, memory.Ahead);

    // Neighbouring pieces with the same queries are scored together.
    private void Score(DecodeBlock* block, in DecodeAhead ahead, in DecodeWorker memory, ref float* prepared, float* scores)
    {
        long* line = ahead.First;
        for (int piece = 0; piece < block->Pieces;)
        {
            float* wanted = (float*)block->PieceQueries[piece];
            int first = block->PieceFirst[piece];
            do piece++;
            while (piece < block->Pieces && (float*)block->PieceQueries[piece] == wanted);
            if (wanted != prepared) TKeys.PrepareQueries(wanted, Call.Group, Call.HeadDim, Call.Scale, memory.Queries);
            prepared = wanted;
            int count = block->PieceFirst[piece] - first;
            if (Call.Rotation.Angles != null) ScoreRotated(block, ahead, ref line, first, count, memory, scores);
            else TKeys.Score((byte**)(block->Keys + first), ahead, ref line, count, memory.Queries, Call.Group, Call.HeadDim, scores + first);
        }
    }

    // A few rows at a time are rotated into first-level cache and scored there: no further byte of K crosses memory.
    private void ScoreRotated(DecodeBlock* block, in DecodeAhead ahead, ref long* line, int first, int count, in DecodeWorker memory, float* scores)
    {
        byte** rotated = stackalloc byte*[DecodeWorker.RotatedRows];
        for (int row = 0; row < DecodeWorker.RotatedRows; row++) rotated[row] = (byte*)(memory.RotatedKeys + ((long)row * Call.HeadDim));
        for (int end = first + count; first < end; first += DecodeWorker.RotatedRows)
        {
            int some = Math.Min(DecodeWorker.RotatedRows, end - first);
            RopeRotation.RotateBlock(Call.Rotation, (byte**)(block->Keys + first), block->Ranks + first, some, memory.RotatedKeys);
            TKeys.Score(rotated, ahead, ref line, some, memory.Queries, Call.Group, Call.HeadDim, scores + first);
        }
    }

    // The block's scores, back in the order of the part's rows.
    private void Keep(int part, DecodeBlock* block, float* scores)
    {
        float* kept = Call.Scores(part);
        for (int h = 0; h < Call.Group; h++, kept += Call.ScoreStride(part), scores += DecodeBlock.Capacity)
        {
            for (int piece = 0; piece < block->Pieces; piece++)
            {
                int first = block->PieceFirst[piece], count = block->PieceFirst[piece + 1] - first;
                new ReadOnlySpan<float>(scores + first, count).CopyTo(new Span<float>(kept + block->PieceRow[piece], count));
            }
        }
    }

    private void Finish(int part, in DecodeWorker memory)
    {
        ref DecodePart of = ref Call.Parts[part];
        int group = Call.Group, headDim = Call.HeadDim;
        if (of.Partial >= 0)
        {
            float* partial = Call.Partial(of);
            new ReadOnlySpan<float>(memory.Max, group).CopyTo(new Span<float>(partial, group));
            new ReadOnlySpan<float>(memory.Sum, group).CopyTo(new Span<float>(partial + group, group));
            for (int h = 0; h < group; h++) TPath.Finish(memory.Values + (h * headDim), headDim, 1, partial + (2 * group) + (h * headDim));
            return;
        }

        float* output = Call.Output + ((long)of.Stream * group * headDim);
        for (int h = 0; h < group; h++)
        {
            memory.Sum[h] = memory.Sum[h] == 0 ? 0 : 1 / memory.Sum[h];
            TPath.Finish(memory.Values + (h * headDim), headDim, memory.Sum[h], output + (h * headDim));
        }

        if (Call.KeepsScores) DecodeWeights<TPath>.Write(Call, part, memory.Max, memory.Sum, memory.Scores);
    }
}

/// <summary>Where a worker is in the rows of its parts: the block that is summed, the one that is scored and the one that is fetched.</summary>
internal unsafe struct Walk
{
    public DecodeRows Rows;
    public DecodeBlock* Block, Next, AfterNext;

    /// <summary>Whether the first block of the next part has been listed already.</summary>
    public bool Begun;

    public void Turn()
    {
        DecodeBlock* done = Block;
        Block = Next;
        Next = AfterNext;
        AfterNext = done;
    }
}

/// <summary>Merges the partial results of one head of one cut stream, always in the order of its rows.</summary>
internal readonly unsafe struct MergeJob<TPath> : IParallelJob
    where TPath : struct, IDecodePath
{
    private readonly DecodeCall* _call;

    public MergeJob(DecodeCall* call) => _call = call;

    private ref DecodeCall Call => ref *_call;

    public void Execute(int chunk, int worker)
    {
        int group = Call.Group, headDim = Call.HeadDim, head = chunk % group;
        DecodePart* first = Call.Parts + Call.CutParts[chunk / group], end = first;
        float max = float.MinValue, sum = 0;
        for (; end < Call.Parts + Call.FirstPart[Call.Chunks] && end->Stream == first->Stream; end++)
            if (Call.Partial(*end)[head] > max) max = Call.Partial(*end)[head];
        for (DecodePart* part = first; part < end; part++)
        {
            float* partial = Call.Partial(*part);
            sum += partial[group + head] * VectorExp.Exp(partial[head] - max);
        }

        float inverse = sum == 0 ? 0 : 1 / sum;
        float* output = Call.Output + ((((long)first->Stream * group) + head) * headDim);
        new Span<float>(output, headDim).Clear();
        for (DecodePart* part = first; part < end; part++)
        {
            float* partial = Call.Partial(*part);
            TPath.AddScaled(partial + (2 * group) + (head * headDim), VectorExp.Exp(partial[head] - max) * inverse, headDim, output);
            partial[head] = max;
            partial[group + head] = inverse;
        }
    }
}

/// <summary>Column weights of the cut streams, when their merged maxima and sums are known.</summary>
internal readonly unsafe struct WeightsJob<TPath> : IParallelJob
    where TPath : struct, IDecodePath
{
    private readonly DecodeCall* _call;

    public WeightsJob(DecodeCall* call) => _call = call;

    private ref DecodeCall Call => ref *_call;

    public void Execute(int chunk, int worker)
    {
        for (int part = Call.FirstPart[chunk]; part < Call.FirstPart[chunk + 1]; part++)
        {
            if (Call.Parts[part].Partial < 0) continue;
            float* partial = Call.Partial(Call.Parts[part]);
            DecodeWeights<TPath>.Write(Call, part, partial, partial + Call.Group, new DecodeWorker(Call.Worker(worker), Call.Group, Call.HeadDim).Scores);
        }
    }
}

/// <summary>Turns kept scores into column weights.</summary>
internal static unsafe class DecodeWeights<TPath>
    where TPath : struct, IDecodePath
{
    /// <summary>Writes the weights of a part's rows to the runs that want them; <paramref name="buffer"/> holds a block.</summary>
    public static void Write(in DecodeCall call, int part, float* max, float* inverse, float* buffer)
    {
        float* kept = call.Scores(part);
        AttentionRun* run = call.Runs + call.Parts[part].Run;
        int row = call.Parts[part].Skip;
        for (long left = call.Parts[part].Rows; left > 0;)
        {
            int count = (int)Math.Min(Math.Min(run->Tokens - row, DecodeBlock.Capacity), left);
            if (run->ColumnWeights != null && count > 0)
            {
                TPath.ColumnWeights(kept, call.ScoreStride(part), count, call.Group, max, inverse, buffer);
                new ReadOnlySpan<float>(buffer, count).CopyTo(new Span<float>(run->ColumnWeights + row, count));
            }

            kept += count;
            left -= count;
            row += count;
            if (row != run->Tokens) continue;
            run++;
            row = 0;
        }
    }
}
