using System.Runtime.Intrinsics.X86;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Attention;

/// <summary>
/// A tile of lanes of one KV head in a worker's scratch memory: queries, outputs and softmax state in blocks of three
/// vectors, and the scores of one block against one tile of keys. All blocks share each K and V tile.
/// </summary>
internal readonly unsafe struct PrefillTile<TLanes, TFloats, TWords>
    where TLanes : struct, ILanes<TFloats, TWords>
    where TFloats : struct
    where TWords : struct
{
    // Room for the correction factors of a block of any path, a multiple of 64 bytes.
    private const int LargestBlock = 48;

    private readonly PrefillCall* _call;
    private readonly int _kvHead;
    private readonly int _headDim;
    private readonly float* _correction;
    private readonly float* _keys;
    private readonly float* _values;
    private readonly int _firstLane;

    /// <summary>Takes the lanes from <paramref name="firstLane"/> on, with nothing seen yet.</summary>
    public PrefillTile(PrefillCall* call, int worker, int kvHead, int firstLane)
    {
        _call = call;
        _kvHead = kvHead;
        _firstLane = firstLane;
        _headDim = call->Shape.HeadDim;
        Lanes = Math.Min(call->TileLanes, call->Lanes - firstLane);
        int tile = call->TileLanes, panel = tile * _headDim, keys = PrefillCall.KeyTile * _headDim;
        Offsets = (long*)(call->Scratch + (worker * Bytes(*call)));
        Maximum = (float*)(Offsets + tile);
        Sum = Maximum + tile;
        _correction = Sum + tile;
        Scores = _correction + LargestBlock;
        Queries = Scores + (PrefillCall.KeyTile * LargestBlock);
        SinkQueries = Queries + panel;
        Output = SinkQueries + panel;
        _keys = Output + panel;
        _values = _keys + keys;

        // Lanes past the last one repeat its query, so that every vector is full; they are never stored.
        int group = call->Shape.Group;
        for (int i = 0; i < tile; i++)
        {
            int lane = firstLane + Math.Min(i, Lanes - 1);
            Offsets[i] = (((long)(lane / group) * call->Shape.Heads) + ((long)kvHead * group) + (lane % group)) * _headDim;
            Maximum[i] = float.MinValue;
            Sum[i] = 0;
        }
    }

    /// <summary>Lanes in use.</summary>
    public int Lanes { get; }

    /// <summary>Where each lane's query and output start in <c>[tokens, heads, headDim]</c>.</summary>
    public long* Offsets { get; }

    /// <summary>The largest score that each lane has seen.</summary>
    public float* Maximum { get; }

    /// <summary>Sum of exp(score - maximum) of each lane.</summary>
    public float* Sum { get; }

    /// <summary><c>[KeyTile, Block]</c>.</summary>
    public float* Scores { get; }

    /// <summary>Blocks <c>[headDim, Block]</c>, scaled.</summary>
    public float* Queries { get; }

    /// <summary>As <see cref="Queries"/>.</summary>
    public float* SinkQueries { get; }

    private float* Output { get; }

    private static int Block => PrefillKernels<TLanes, TFloats, TWords>.Block;

    /// <summary>Scratch bytes of a worker.</summary>
    public static long Bytes(in PrefillCall call)
    {
        long tile = call.TileLanes, headDim = call.Shape.HeadDim, keys = PrefillCall.KeyTile;
        return sizeof(float) * ((4 * tile) + LargestBlock + (keys * LargestBlock) + (3 * tile * headDim) + (2 * keys * headDim));
    }

    /// <summary>The row of a lane; of neighbouring lanes the later never has the lower one.</summary>
    public int Row(int lane) => _call->Past + ((_firstLane + lane) / _call->Shape.Group);

    /// <summary>Vectors in use of the block that starts at <paramref name="lane"/>.</summary>
    public int Vectors(int lane) => (Math.Min(Block, Lanes - lane) + TLanes.Count - 1) / TLanes.Count;

    /// <summary>Copies the lanes' queries, scaled, into <paramref name="blocks"/>.</summary>
    public void Pack(float* queries, float* blocks)
    {
        for (int lane = 0; lane < Lanes; lane += Block)
            PrefillTranspose.ToBlock(queries, Offsets + lane, Vectors(lane) * TLanes.Count, _headDim, _call->Shape.Scale, blocks + (lane * _headDim), Block);
    }

    /// <summary>K rows [<paramref name="first"/>, + <paramref name="count"/>) in float32, at most a key tile.</summary>
    public float* Keys(int first, int count) => Float32(_call->Keys, first, count, _keys);

    /// <summary>
    /// Scores the block at <paramref name="lane"/> against the keys of [<paramref name="first"/>, <paramref name="end"/>) that any of
    /// its lanes sees, which the range is cut to; what single lanes do not see is minus infinity. The scores are <c>[KeyTile, Block]</c>.
    /// </summary>
    /// <returns>Whether some lane does not see some key of the range.</returns>
    public bool Score(float* keys, int lane, float* queries, int window, ref int first, ref int end, float* scores)
    {
        int firstRow = Row(lane), lastRow = Row(Math.Min(lane + Block, Lanes) - 1), tileStart = first;
        first = Math.Max(first, firstRow - window + 1);
        end = Math.Clamp(lastRow + 1, first, Math.Max(first, end));
        if (first == end) return false;
        PrefillKernels<TLanes, TFloats, TWords>.Scores(keys + ((first - tileStart) * _headDim), end - first, queries + (lane * _headDim), Vectors(lane), _headDim, scores);
        if (end - 1 <= firstRow && first > lastRow - window) return false;

        // The lanes that see a key are those of rows [key, key + window).
        int width = Vectors(lane) * TLanes.Count;
        long group = _call->Shape.Group, blockStart = (_call->Past * group) + _firstLane + lane;
        for (int key = first; key < end; key++)
            PrefillKernels<TLanes, TFloats, TWords>.Mask(scores + ((key - first) * Block), width, (key * group) - blockStart, ((key + (long)window) * group) - blockStart);
        return true;
    }

    /// <summary>
    /// Online softmax over rows [<paramref name="first"/>, <paramref name="end"/>), of which a lane sees (row - window, row], and the
    /// outputs, if there are any. Leaves exp(score - maximum), and the maximum, where <paramref name="kept"/> has room for them.
    /// </summary>
    public void Attend(int first, int end, float* queries, int window, KeptProbabilities kept)
    {
        for (int tileStart = first; tileStart < end; tileStart += PrefillCall.KeyTile)
        {
            int count = Math.Min(PrefillCall.KeyTile, end - tileStart);
            float* k = Keys(tileStart, count);
            float* v = _call->Output == null ? null : Float32(_call->Values, tileStart, count, _values);
            bool? finite = null;
            for (int lane = 0; lane < Lanes; lane += Block)
            {
                int from = tileStart, to = tileStart + count, vectors = Vectors(lane);
                Prefetch(tileStart + count, Math.Min(PrefillCall.KeyTile, end - tileStart - count), lane);
                float* scores = kept.Has(tileStart) ? kept.Block(tileStart, lane) : Scores;
                bool partly = Score(k, lane, queries, window, ref from, ref to, scores);
                if (from >= to) continue;
                PrefillKernels<TLanes, TFloats, TWords>.Softmax(scores, to - from, vectors, Maximum + lane, Sum + lane, _correction);
                if (kept.Has(tileStart)) Buffer.MemoryCopy(Maximum + lane, kept.Maximum(tileStart) + lane, Block * sizeof(float), vectors * TLanes.Count * sizeof(float));
                if (v == null) continue;
                float* output = Output + (lane * _headDim), value = v + ((from - tileStart) * _headDim);
                if (partly && !(finite ??= PrefillKernels<TLanes, TFloats, TWords>.AllFinite(v, count * _headDim))) AccumulateVisible(value, scores, lane, from, to, window, output);
                else PrefillKernels<TLanes, TFloats, TWords>.Accumulate(value, to - from, scores, vectors, _correction, _headDim, output);
            }
        }
    }

    /// <summary>Sets the outputs to zero.</summary>
    public void ClearOutput() => new Span<float>(Output, _call->TileLanes * _headDim).Clear();

    /// <summary>Divides the outputs by the sums and stores them.</summary>
    public void StoreOutput(float* destination)
    {
        for (int lane = 0; lane < Lanes; lane += Block)
        {
            float* output = Output + (lane * _headDim);
            for (int i = 0; i < Block; i++) _correction[i] = 1 / Sum[lane + i];
            PrefillKernels<TLanes, TFloats, TWords>.Accumulate(null, 0, null, Vectors(lane), _correction, _headDim, output);
            PrefillTranspose.ToRows(output, Block, destination, Offsets + lane, Math.Min(Block, Lanes - lane), _headDim);
        }
    }

    // 0 * NaN and 0 * infinity are NaN: where a V row that not every lane sees holds one, only the lanes that see it may get it.
    private void AccumulateVisible(float* values, float* scores, int lane, int first, int end, int window, float* output)
    {
        for (int i = 0; i < Math.Min(Block, Lanes - lane); i++)
        {
            int row = Row(lane + i), from = Math.Max(first, row - window + 1), to = Math.Min(end, row + 1);
            for (int d = 0; d < _headDim; d++)
            {
                float sum = output[(d * Block) + i] * _correction[i];
                for (int key = from; key < to; key++) sum += scores[((key - first) * Block) + i] * values[((key - first) * _headDim) + d];
                output[(d * Block) + i] = sum;
            }
        }
    }

    // The next K and V tiles come into the second-level cache while this one is worked on, a share of them with each block.
    private void Prefetch(int first, int count, int lane)
    {
        if (!Sse.IsSupported) return;
        long bytes = (long)count * _call->Shape.RowBytes, end = bytes * Math.Min(lane + Block, Lanes) / Lanes;
        byte* keys = Stored(_call->Keys, first), values = _call->Output == null ? keys : Stored(_call->Values, first);
        for (long i = bytes * lane / Lanes; i < end; i += 64)
        {
            Sse.Prefetch1(keys + i);
            Sse.Prefetch1(values + i);
        }
    }

    private byte* Stored(byte* rows, int row) => rows + (((_kvHead * _call->HeadStride) + row) * _call->Shape.RowBytes);

    private float* Float32(byte* rows, int first, int count, float* scratch)
    {
        byte* source = Stored(rows, first);
        if (_call->Shape.CacheType == DataType.F32) return (float*)source;
        Conversion.Widen(_call->Isa, source, _call->Shape.CacheType, new Span<float>(scratch, count * _headDim));
        return scratch;
    }
}
