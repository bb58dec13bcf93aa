using System.Diagnostics.CodeAnalysis;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels.Cases;

/// <summary><see cref="RmsNorm"/> of rows.</summary>
internal sealed class RmsNormCase : KernelCase
{
    private const float Epsilon = 1e-5f;

    private readonly int _rows, _columns;
    private readonly Operand _input, _weight, _output;

    /// <summary>Makes the operands.</summary>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Elements of each.</param>
    /// <param name="footprint">Bytes that calls go through before they come back to the same rows.</param>
    [SetsRequiredMembers]
    public RmsNormCase(int rows, int columns, long footprint = 0)
        : base("rms_norm", DataType.F32, $"{rows}x{columns}")
    {
        (_rows, _columns) = (rows, columns);
        Bytes = 2.0 * rows * columns * sizeof(float);
        Copies = CopiesFor(Bytes, footprint);
        _input = Own(new Operand((long)rows * columns, DataType.F32, Copies));
        _weight = Own(new Operand(columns, DataType.F32));
        _output = Own(new Operand(_input.Count, DataType.F32, Copies));
    }

    public override void Check(KernelContext context)
    {
        Run(context);
        foreach (int row in Samples(_rows, 16))
        {
            double squares = 0;
            for (int i = 0; i < _columns; i++) squares += Math.Pow(_input.Value(Copy, ((long)row * _columns) + i), 2);
            double scale = 1 / Math.Sqrt((squares / _columns) + Epsilon);
            for (int i = 0; i < _columns; i++)
            {
                double expected = _input.Value(Copy, ((long)row * _columns) + i) * scale * _weight.Value(0, i);
                Require(_output.Value(Copy, ((long)row * _columns) + i), expected, Math.Abs(expected) * 1e-5, context, $"row {row} element {i}");
            }
        }
    }

    protected override void Execute(KernelContext context) => RmsNorm.Normalize(context, _input.Floats(Copy), _weight.Floats(0), Epsilon, _output.Floats(Copy), _rows);
}
