using System.Diagnostics.CodeAnalysis;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;

namespace Equip.Bench.Kernels.Cases;

/// <summary><see cref="RopeRotation.Rotate"/> in place, a position a token.</summary>
internal sealed class RopeCase : KernelCase
{
    private readonly RopeTable _table;
    private readonly int _tokens, _heads;
    private readonly float[] _cos, _sin;
    private readonly Operand _rows;

    /// <summary>Makes the operands.</summary>
    /// <param name="tokens">Tokens.</param>
    /// <param name="heads">Heads of each.</param>
    /// <param name="headDim">Elements of a row.</param>
    /// <param name="footprint">Bytes that calls go through before they come back to the same rows.</param>
    [SetsRequiredMembers]
    public RopeCase(int tokens, int heads, int headDim, long footprint = 0)
        : base("rope_rotate", DataType.F32, $"{tokens}x{heads}x{headDim}")
    {
        (_tokens, _heads) = (tokens, heads);
        _table = new RopeTable(new RopeOptions { HeadDim = headDim });
        _cos = new float[tokens * _table.Pairs];
        _sin = new float[_cos.Length];
        _table.Fill([.. Enumerable.Range(0, tokens)], _cos, _sin);
        long elements = (long)tokens * heads * headDim;
        Copies = CopiesFor(elements * sizeof(float), footprint);
        _rows = Own(new Operand(elements, DataType.F32, Copies));
        Bytes = sizeof(float) * ((2.0 * elements) + (2.0 * _cos.Length));
        WorkingSet = Bytes - (sizeof(float) * elements);
    }

    public override void Check(KernelContext context)
    {
        float[] before = _rows.Floats((Copy + 1) % Copies).ToArray();
        Run(context);
        int pairs = _table.Pairs;
        foreach (int row in Samples(_tokens * _heads, 64))
        {
            int token = row / _heads, first = row * _table.Options.HeadDim;
            for (int i = 0; i < pairs; i++)
            {
                (double sin, double cos) = Math.SinCos(token * _table.InverseFrequencies[i]);
                double x = before[first + i], y = before[first + pairs + i], tolerance = (Math.Abs(x) + Math.Abs(y)) * 1e-6;
                Require(_rows.Value(Copy, first + i), (x * cos) - (y * sin), tolerance, context, $"token {token} pair {i}");
                Require(_rows.Value(Copy, first + pairs + i), (y * cos) + (x * sin), tolerance, context, $"token {token} pair {i}");
            }
        }
    }

    protected override void Execute(KernelContext context) => RopeRotation.Rotate(context, _table, _rows.Floats(Copy), _rows.Floats(Copy), _cos, _sin, _tokens, _heads);
}
