using System.Diagnostics.CodeAnalysis;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels.Cases;

/// <summary><see cref="Softmax"/> of rows.</summary>
internal sealed class SoftmaxCase : KernelCase
{
    private readonly int _rows, _columns;
    private readonly Operand _input, _output;

    /// <summary>Makes the operands.</summary>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Elements of each.</param>
    /// <param name="footprint">Bytes that calls go through before they come back to the same rows.</param>
    [SetsRequiredMembers]
    public SoftmaxCase(int rows, int columns, long footprint = 0)
        : base("softmax", DataType.F32, $"{rows}x{columns}")
    {
        (_rows, _columns) = (rows, columns);
        Bytes = 2.0 * rows * columns * sizeof(float);
        Copies = CopiesFor(Bytes, footprint);
        _input = Own(new Operand((long)rows * columns, DataType.F32, Copies));
        _output = Own(new Operand(_input.Count, DataType.F32, Copies));
    }

    public override void Check(KernelContext context)
    {
        Run(context);
        foreach (int row in Samples(_rows, 16))
        {
            long first = (long)row * _columns;
            double[] expected = [.. Enumerable.Range(0, _columns).Select(i => _input.Value(Copy, first + i))];
            double max = expected.Max();
            for (int i = 0; i < _columns; i++) expected[i] = Math.Exp(expected[i] - max);
            double sum = expected.Sum();
            for (int i = 0; i < _columns; i++)
                Require(_output.Value(Copy, first + i), expected[i] / sum, (expected[i] / sum * 1e-4) + 1e-30, context, $"row {row} element {i}");
        }
    }

    protected override void Execute(KernelContext context) => Softmax.Normalize(context, _input.Floats(Copy), _output.Floats(Copy), _rows, _columns);
}
