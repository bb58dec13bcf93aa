using System.Diagnostics.CodeAnalysis;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels.Cases;

/// <summary><see cref="Pooling"/> by average or maximum, on one thread.</summary>
internal sealed class PoolingCase : KernelCase
{
    private readonly bool _max;
    private readonly int _kernel;
    private readonly Operand _scores, _output;

    /// <summary>Makes the operands.</summary>
    /// <param name="max">Maximum, otherwise average.</param>
    /// <param name="length">Scores.</param>
    /// <param name="kernel">Scores that an output looks at.</param>
    [SetsRequiredMembers]
    public PoolingCase(bool max, int length, int kernel)
        : base(max ? "pooling_max" : "pooling_average", DataType.F32, $"{length} kernel {kernel} 1 thread")
    {
        (_max, _kernel) = (max, kernel);
        OneThread = true;
        Bytes = 2.0 * length * sizeof(float);
        _scores = Own(new Operand(length, DataType.F32));
        _output = Own(new Operand(length, DataType.F32));
    }

    public override void Check(KernelContext context)
    {
        Run(context);
        int length = (int)_scores.Count, radius = _kernel / 2;
        for (int i = 0; i < length; i++)
        {
            double[] seen = [.. Enumerable.Range(i - radius, _kernel).Where(at => at >= 0 && at < length).Select(at => _scores.Value(0, at))];
            double expected = _max ? seen.Max() : seen.Sum() / _kernel;
            Require(_output.Value(0, i), expected, _max ? 0 : seen.Sum(Math.Abs) * 1e-6, context, $"element {i}");
        }
    }

    protected override void Execute(KernelContext context)
    {
        if (_max) Pooling.Max(_scores.Floats(0), _kernel, _output.Floats(0), context.Isa);
        else Pooling.Average(_scores.Floats(0), _kernel, _output.Floats(0), context.Isa);
    }
}
