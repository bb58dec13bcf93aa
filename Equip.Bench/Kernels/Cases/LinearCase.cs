using System.Diagnostics.CodeAnalysis;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels.Cases;

/// <summary><see cref="LinearLayer"/>: weights from memory times one or a few inputs, or arithmetic on many.</summary>
internal sealed unsafe class LinearCase : KernelCase
{
    // From this batch on a matrix product is limited by arithmetic.
    private const int ComputeBatch = 64;

    private readonly int _rows, _columns, _batch;
    private readonly Operand _weights, _input, _output;

    /// <summary>Makes the operands.</summary>
    /// <param name="type">How weights are stored.</param>
    /// <param name="rows">Outputs.</param>
    /// <param name="columns">Inputs.</param>
    /// <param name="batch">Input vectors.</param>
    /// <param name="footprint">Bytes that calls go through before they come back to the same weights.</param>
    [SetsRequiredMembers]
    public LinearCase(DataType type, int rows, int columns, int batch = 1, long footprint = 0)
        : base(batch == 1 ? "gemv" : batch < ComputeBatch ? "gemm_skinny" : "gemm", type, batch == 1 ? $"{rows}x{columns}" : $"{batch}x{rows}x{columns}")
    {
        (_rows, _columns, _batch) = (rows, columns, batch);
        double weightBytes = ((double)rows * columns * type.Size()) + (type == DataType.Q8 ? (double)rows * columns / WeightMatrix.BlockSize * sizeof(ushort) : 0);
        Copies = CopiesFor(weightBytes, footprint);
        _weights = Own(new Operand((long)rows * columns, type, Copies));
        _input = Own(new Operand((long)batch * columns, DataType.F32));
        _output = Own(new Operand((long)batch * rows, DataType.F32));
        Bytes = weightBytes + (((double)_input.Count + _output.Count) * sizeof(float));
        if (batch >= ComputeBatch) Flops = 2.0 * batch * rows * columns;
    }

    public override void Check(KernelContext context)
    {
        Run(context);
        foreach (int item in Samples(_rows * _batch, 64))
        {
            int row = item % _rows, input = item / _rows;
            double sum = 0, magnitude = 0, variance = 0, step = 0;
            for (int column = 0; column < _columns; column++)
            {
                // Q8 rounds its inputs to bytes, 32 at a time.
                if (Type == DataType.Q8 && column % WeightMatrix.BlockSize == 0) step = LargestInput(input, column) / 127;
                double weight = _weights.Value(Copy, ((long)row * _columns) + column), term = weight * _input.Value(0, ((long)input * _columns) + column);
                sum += term;
                magnitude += Math.Abs(term);
                variance += weight * weight * step * step / 12;
            }

            Require(_output.Value(0, item), sum, (magnitude * 1e-5) + (8 * Math.Sqrt(variance)), context, $"row {row} input {input}");
        }
    }

    protected override void Execute(KernelContext context)
    {
        WeightMatrix weights = new(_weights.At(Copy), Type, _rows, _columns, _weights.ScalesAt(Copy));
        LinearLayer.Multiply(context, weights, _input.Floats(0), _output.Floats(0), _batch);
    }

    private double LargestInput(int input, int column)
    {
        double largest = 0;
        for (int i = 0; i < WeightMatrix.BlockSize; i++) largest = Math.Max(largest, Math.Abs(_input.Value(0, ((long)input * _columns) + column + i)));
        return largest;
    }
}
