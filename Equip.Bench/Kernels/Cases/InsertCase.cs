using System.Diagnostics.CodeAnalysis;
using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;

namespace Equip.Bench.Kernels.Cases;

/// <summary>
/// One token evicted and one inserted in every KV head of a full layer: into the freed slot, or after the younger rows were
/// moved down by one. Positions are the original ones, so neither rotates a stored key.
/// </summary>
internal sealed unsafe class InsertCase : KernelCase
{
    /// <summary>The kernel's name when only the new row is written.</summary>
    public const string Writing = "slot_write";

    /// <summary>The kernel's name when rows are moved.</summary>
    public const string Shifting = "shift_memmove";

    private const int Sinks = 4;

    // Coprime to a window: victims of successive calls lie far apart.
    private const int Stride = 1021;

    private readonly bool _shifts;
    private readonly int _window, _headDim;
    private readonly HeadCache[] _heads;
    private readonly CacheStrategy _strategy;
    private readonly int[] _slots;
    private readonly Operand _keys, _values;
    private int _position;

    /// <summary>Makes a full layer.</summary>
    /// <param name="update">In place or memmove.</param>
    /// <param name="type">How rows are stored.</param>
    /// <param name="kvHeads">KV heads.</param>
    /// <param name="headDim">Elements of a row.</param>
    /// <param name="window">Rows of each head.</param>
    [SetsRequiredMembers]
    public InsertCase(CacheUpdate update, DataType type, int kvHeads, int headDim, int window)
        : base(update == CacheUpdate.InPlace ? Writing : Shifting, type, $"{kvHeads}kv{headDim} W{window}")
    {
        (_shifts, _window, _headDim) = (update != CacheUpdate.InPlace, window, headDim);
        RopeTable rope = new(new RopeOptions { HeadDim = headDim });
        _strategy = CacheStrategies.Create(update, PositionScheme.Original, new CacheStrategyOptions
        {
            SinkTokens = Sinks,
            CapacityTokens = window,
            SlidingWindow = true,
            Rope = rope,
            Shape = new AttentionShape(kvHeads, kvHeads, headDim, type),
        });
        PagePool pool = Own(new PagePool(window, headDim, type));
        _heads = [.. Enumerable.Range(0, kvHeads).Select(_ => Own(new HeadCache(pool)))];
        _slots = new int[kvHeads];

        // A call's rows start at any of the first window rows.
        _keys = Own(new Operand((long)(window + kvHeads) * headDim, DataType.F32));
        _values = Own(new Operand(_keys.Count, DataType.F32, scale: 2));
        for (int row = 0; row < window; row++)
        {
            _heads[0].Write(Isa.Auto, row, Rows(_keys, row), Rows(_values, row), row, row);
            foreach (HeadCache head in _heads.AsSpan(1)) head.WriteStored(row, _heads[0].Key(row), _heads[0].Value(row), row, row);
        }

        _position = window;
        double written = 2.0 * kvHeads * headDim;
        Bytes = (written * (sizeof(float) + type.Size())) + (_shifts ? 2 * written * (window - Sinks - 1) * type.Size() : 0);
    }

    public override void Check(KernelContext context)
    {
        int watched = _window - 2;
        HeadCache last = _heads[^1];
        byte[] before = new ReadOnlySpan<byte>(last.Value(watched), _headDim * Type.Size()).ToArray();
        Run(context);
        int written = _shifts ? _window - 1 : _slots[0];
        float[] row = new float[_headDim];
        Span<float> expectedRows = Rows(_values, _position - 1);
        for (int head = 0; head < _heads.Length; head++)
        {
            Conversion.Widen(Isa.Scalar, _heads[head].Value(written), Type, row);
            for (int i = 0; i < _headDim; i++)
            {
                double expected = expectedRows[(head * _headDim) + i];
                Require(row[i], expected, Type == DataType.F32 ? 0 : Math.Abs(expected) / 256, context, $"head {head} element {i}");
            }
        }

        // What was not evicted is still there, one row down if rows were moved.
        int kept = _shifts ? watched - 1 : watched;
        if (written != kept && !before.AsSpan().SequenceEqual(new ReadOnlySpan<byte>(last.Value(kept), before.Length)))
            throw new InvalidOperationException($"{Kernel} {IsaRegistry.Name(context.Isa)} {Type.Name()} {Shape}: row {watched} changed");
    }

    protected override void Execute(KernelContext context)
    {
        int slot = _shifts ? Sinks : Sinks + (int)((long)_position * Stride % (_window - Sinks));
        _slots.AsSpan().Fill(slot);
        _strategy.Insert(context, _heads, _slots, Rows(_keys, _position), Rows(_values, _position), _position);
        _position++;
    }

    private Span<float> Rows(Operand operand, int position) => operand.Floats(0).Slice(position % _window * _headDim, _heads.Length * _headDim);
}
