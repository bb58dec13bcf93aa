using System.Diagnostics.CodeAnalysis;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels.Cases;

/// <summary><see cref="GatheredGemv"/>: some rows of a matrix times an input, or some channels times their activations.</summary>
internal sealed unsafe class GatheredGemvCase : KernelCase
{
    // Every fourth row is left out.
    private const int LeaveOut = 4;

    private readonly bool _channels;
    private readonly int _rows, _columns;
    private readonly int[] _chosen;
    private readonly Operand _weights, _input, _output;

    /// <summary>Makes the operands.</summary>
    /// <param name="channels">Rows are channels, weighted and added; otherwise each gives an output.</param>
    /// <param name="type">How weights are stored.</param>
    /// <param name="rows">Rows of the matrix.</param>
    /// <param name="columns">Elements of each.</param>
    /// <param name="footprint">Bytes that calls go through before they come back to the same weights.</param>
    [SetsRequiredMembers]
    public GatheredGemvCase(bool channels, DataType type, int rows, int columns, long footprint = 0)
        : base(channels ? "gemv_gathered_channels" : "gemv_gathered_rows", type, $"{rows - (rows / LeaveOut)} of {rows}x{columns}")
    {
        (_channels, _rows, _columns) = (channels, rows, columns);
        _chosen = [.. Enumerable.Range(0, rows).Where(row => row % LeaveOut != LeaveOut - 1)];
        double row = (double)columns * type.Size();
        Copies = CopiesFor(row * rows, footprint);
        _weights = Own(new Operand((long)rows * columns, type, Copies));
        _input = Own(new Operand(channels ? _chosen.Length : columns, DataType.F32));
        _output = Own(new Operand(channels ? columns : _chosen.Length, DataType.F32));
        Bytes = (row * _chosen.Length) + (((double)_input.Count + _output.Count) * sizeof(float));
    }

    public override void Check(KernelContext context)
    {
        Run(context);
        foreach (int item in Samples((int)_output.Count, 64))
        {
            double sum = 0, magnitude = 0;
            for (int i = 0; i < _input.Count; i++)
            {
                long at = _channels ? ((long)_chosen[i] * _columns) + item : ((long)_chosen[item] * _columns) + i;
                double term = _weights.Value(Copy, at) * _input.Value(0, i);
                sum += term;
                magnitude += Math.Abs(term);
            }

            Require(_output.Value(0, item), sum, magnitude * 1e-5, context, $"output {item}");
        }
    }

    protected override void Execute(KernelContext context)
    {
        WeightMatrix weights = new(_weights.At(Copy), Type, _rows, _columns);
        if (_channels) GatheredGemv.Channels(context, weights, _chosen, _input.Floats(0), _output.Floats(0));
        else GatheredGemv.Rows(context, weights, _chosen, _input.Floats(0), _output.Floats(0));
    }
}
