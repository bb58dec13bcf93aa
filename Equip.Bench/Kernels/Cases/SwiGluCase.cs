using System.Diagnostics.CodeAnalysis;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels.Cases;

/// <summary><see cref="SwiGlu"/>.</summary>
internal sealed class SwiGluCase : KernelCase
{
    private readonly int _length;
    private readonly Operand _gate, _up, _output;

    /// <summary>Makes the operands.</summary>
    /// <param name="length">Elements.</param>
    /// <param name="footprint">Bytes that calls go through before they come back to the same elements.</param>
    [SetsRequiredMembers]
    public SwiGluCase(int length, long footprint = 0)
        : base("swiglu", DataType.F32, $"{length}")
    {
        _length = length;
        Bytes = 3.0 * length * sizeof(float);
        Copies = CopiesFor(Bytes, footprint);
        _gate = Own(new Operand(length, DataType.F32, Copies));
        _up = Own(new Operand(length, DataType.F32, Copies, scale: 2));
        _output = Own(new Operand(length, DataType.F32, Copies));
    }

    public override void Check(KernelContext context)
    {
        Run(context);
        foreach (int i in Samples(_length, 4096))
        {
            double gate = _gate.Value(Copy, i), expected = gate / (1 + Math.Exp(-gate)) * _up.Value(Copy, i);
            Require(_output.Value(Copy, i), expected, (Math.Abs(expected) * 1e-5) + 1e-30, context, $"element {i}");
        }
    }

    protected override void Execute(KernelContext context) => SwiGlu.Multiply(context, _gate.Floats(Copy), _up.Floats(Copy), _output.Floats(Copy));
}
