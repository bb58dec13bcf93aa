using Equip.Kernels.Memory;
using Equip.Model.Config;

namespace Equip.Model.Transformer;

/// <summary>The float32 buffers of a step of some rows (tokens of a prompt chunk, or sequences of a batch). They only grow.</summary>
internal sealed class Activations(ModelConfig config, int pairs) : IDisposable
{
    private NativeBuffer? _buffer;
    private int _rows;

    private int QueryWidth => config.Heads * config.HeadDim;

    private int KvWidth => config.KvHeads * config.HeadDim;

    /// <summary>Makes room for <paramref name="rows"/>.</summary>
    public void Reserve(int rows)
    {
        if (rows <= _rows) return;
        long perRow = config.HiddenSize + (4L * QueryWidth) + (2L * KvWidth) + (2L * config.WidestFeedForward) + (4L * pairs);
        NativeBuffer grown = new(checked(perRow * rows * sizeof(float)));
        _buffer?.Dispose();
        _buffer = grown;
        _rows = rows;
    }

    public Span<float> Normed(int rows) => Part(0, config.HiddenSize, rows);                                    // [rows, hidden]

    public Span<float> Query(int rows) => Part(config.HiddenSize, QueryWidth, rows);                            // [rows, heads, headDim]

    public Span<float> RotatedQuery(int rows) => Part(config.HiddenSize + QueryWidth, QueryWidth, rows);        // [rows, heads, headDim]

    public Span<float> SinkQuery(int rows) => Part(config.HiddenSize + (2 * QueryWidth), QueryWidth, rows);     // [rows, heads, headDim]

    public Span<float> Attended(int rows) => Part(config.HiddenSize + (3 * QueryWidth), QueryWidth, rows);      // [rows, heads, headDim]

    public Span<float> Key(int rows) => Part(AfterQueries, KvWidth, rows);                                      // [rows, kvHeads, headDim]

    public Span<float> Value(int rows) => Part(AfterQueries + KvWidth, KvWidth, rows);                          // [rows, kvHeads, headDim]

    public Span<float> Gate(int rows) => Part(AfterKv, config.WidestFeedForward, rows);                          // [rows, widest feed-forward]

    public Span<float> Up(int rows) => Part(AfterKv + config.WidestFeedForward, config.WidestFeedForward, rows);  // [rows, widest feed-forward]

    public Span<float> Cos(int rows) => Part(AfterFeedForward, pairs, rows);                                    // [rows, pairs]

    public Span<float> Sin(int rows) => Part(AfterFeedForward + pairs, pairs, rows);                            // [rows, pairs]

    public Span<float> SinkCos(int rows) => Part(AfterFeedForward + (2 * pairs), pairs, rows);                  // [rows, pairs]

    public Span<float> SinkSin(int rows) => Part(AfterFeedForward + (3 * pairs), pairs, rows);                  // [rows, pairs]

    public void Dispose() => _buffer?.Dispose();

    private long AfterQueries => config.HiddenSize + (4L * QueryWidth);

    private long AfterKv => AfterQueries + (2L * KvWidth);

    private long AfterFeedForward => AfterKv + (2L * config.WidestFeedForward);

    private unsafe Span<float> Part(long offsetPerRow, int width, int rows)
        => new((float*)_buffer!.Pointer + (offsetPerRow * _rows), checked(width * rows));
}
