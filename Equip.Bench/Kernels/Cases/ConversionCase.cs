using System.Diagnostics.CodeAnalysis;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels.Cases;

/// <summary><see cref="Conversion"/> between float32 and a 16-bit type, on one thread.</summary>
internal sealed unsafe class ConversionCase : KernelCase
{
    private readonly int _length;
    private readonly bool _narrows;
    private readonly Operand _wide, _stored;

    /// <summary>Makes the operands.</summary>
    /// <param name="type">f16 or bf16.</param>
    /// <param name="narrows">Whether float32 is the source.</param>
    /// <param name="length">Elements.</param>
    /// <param name="footprint">Bytes that calls go through before they come back to the same elements.</param>
    [SetsRequiredMembers]
    public ConversionCase(DataType type, bool narrows, int length, long footprint = 0)
        : base(narrows ? "conversion_narrow" : "conversion_widen", type, $"{length} 1 thread")
    {
        (_length, _narrows) = (length, narrows);
        OneThread = true;
        Bytes = (double)length * (sizeof(float) + type.Size());
        Copies = CopiesFor(Bytes, footprint);
        _wide = Own(new Operand(length, DataType.F32, Copies, scale: narrows ? 1 : 3));
        _stored = Own(new Operand(length, type, Copies, scale: narrows ? 3 : 1));
    }

    public override void Check(KernelContext context)
    {
        Run(context);

        // Half a unit of the last kept place, and half the smallest subnormal of binary16.
        double relative = _narrows ? (Type == DataType.F16 ? 1.0 / 2048 : 1.0 / 256) : 0, absolute = _narrows ? 3e-8 : 0;
        foreach (int i in Samples(_length, 4096))
        {
            double wide = _wide.Value(Copy, i), stored = _stored.Value(Copy, i);
            Require(_narrows ? stored : wide, _narrows ? wide : stored, (Math.Abs(wide) * relative) + absolute, context, $"element {i}");
        }
    }

    protected override void Execute(KernelContext context)
    {
        if (_narrows) Conversion.Narrow(context.Isa, _wide.Floats(Copy), _stored.At(Copy), Type);
        else Conversion.Widen(context.Isa, _stored.At(Copy), Type, _wide.Floats(Copy));
    }
}
