using System.Diagnostics.CodeAnalysis;
using Equip.Kernels.Dispatch;
using Equip.Kernels.KvCache;
using Equip.Kernels.Memory;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels.Cases;

/// <summary><see cref="HeadCache.Compact"/> of one head: some rows dropped, the others closed up, and as many appended again.</summary>
internal sealed unsafe class CompactCase : KernelCase
{
    // One row in so many is dropped.
    private const int DropEvery = 16;

    private readonly HeadCache _head;
    private readonly int[] _keep;
    private readonly int _window, _rowBytes;
    private readonly Operand _rows;

    /// <summary>Makes a full head.</summary>
    /// <param name="type">How rows are stored.</param>
    /// <param name="headDim">Elements of a row.</param>
    /// <param name="window">Rows.</param>
    [SetsRequiredMembers]
    public CompactCase(DataType type, int headDim, int window)
        : base("compact", type, $"1kv{headDim} W{window} drop {window / DropEvery}")
    {
        (_window, _rowBytes) = (window, headDim * type.Size());
        OneThread = true;
        OnePath = true;
        _rows = Own(new Operand((long)window * headDim, type));
        _head = Own(new HeadCache(Own(new PagePool(window, headDim, type))));
        _keep = [.. Enumerable.Range(0, window).Where(row => row % DropEvery != 0)];
        Append();
        Bytes = 4.0 * window * _rowBytes;
    }

    public override void Check(KernelContext context)
    {
        using NativeBuffer before = new((long)_window * _rowBytes);
        Buffer.MemoryCopy(_head.Key(0), before.Pointer, before.Length, before.Length);
        Run(context);
        for (int row = 0; row < _window; row++)
        {
            void* expected = row < _keep.Length ? (byte*)before.Pointer + ((long)_keep[row] * _rowBytes) : (byte*)_rows.At(0) + ((long)row * _rowBytes);
            if (!new ReadOnlySpan<byte>(expected, _rowBytes).SequenceEqual(new ReadOnlySpan<byte>(_head.Key(row), _rowBytes)))
                throw new InvalidOperationException($"{Kernel} {Type.Name()} {Shape} is wrong at row {row}");
        }
    }

    protected override void Execute(KernelContext context)
    {
        _head.Compact(_keep);
        Append();
    }

    private void Append()
    {
        for (int row = _head.Count; row < _window; row++)
        {
            byte* source = (byte*)_rows.At(0) + ((long)row * _rowBytes);
            _head.WriteStored(row, source, source, row, row);
        }
    }
}
