using System.Diagnostics.CodeAnalysis;
using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels.Cases;

/// <summary><see cref="WindowScores"/> of the last queries of a prompt.</summary>
internal sealed unsafe class WindowScoresCase : KernelCase
{
    private readonly AttentionShape _shape;
    private readonly int _tokens, _window;
    private readonly Operand _keys, _queries, _output;

    /// <summary>Makes the operands.</summary>
    /// <param name="shape">Heads, head dimension, cache type.</param>
    /// <param name="tokens">Tokens of the prompt.</param>
    /// <param name="window">Its last tokens that score the others.</param>
    [SetsRequiredMembers]
    public WindowScoresCase(AttentionShape shape, int tokens, int window)
        : base("window_scores", shape.CacheType, $"{AttentionReference.Name(shape)} T{tokens} w{window}")
    {
        (_shape, _tokens, _window) = (shape, tokens, window);
        _keys = Own(new Operand((long)shape.KvHeads * tokens * shape.HeadDim, shape.CacheType));
        _queries = Own(new Operand((long)window * shape.Heads * shape.HeadDim, DataType.F32, scale: AttentionReference.QueryScale));
        _output = Own(new Operand((long)shape.Heads * window * tokens, DataType.F32));
        Bytes = ((double)_keys.Count * shape.CacheType.Size()) + (((double)_queries.Count + _output.Count) * sizeof(float));
        Flops = 2.0 * shape.HeadDim * shape.Heads * window * (tokens - ((window - 1) / 2.0));
    }

    public override void Check(KernelContext context)
    {
        Run(context);
        foreach (int item in Samples(_window * _shape.Heads, 8))
        {
            int token = item / _shape.Heads, head = item % _shape.Heads, seen = _tokens - _window + token + 1;
            AttentionReference reference = new(_shape, _queries, (long)item * _shape.HeadDim, _keys, _keys, 0, (long)(head / _shape.Group) * _tokens, seen);
            for (int row = 0; row < _tokens; row++)
            {
                double expected = row < seen ? reference.Probabilities[row] : 0;
                Require(_output.Value(0, ((((long)head * _window) + token) * _tokens) + row), expected, AttentionReference.ToleranceOf(expected), context, $"token {token} head {head} key {row}");
            }
        }
    }

    protected override void Execute(KernelContext context)
    {
        PrefillKeys keys = new() { Keys = _keys.At(0), Values = null, HeadStride = _tokens, Past = _tokens - _window };
        WindowScores.Compute(context, _shape, _queries.Floats(0), keys, _output.Floats(0), _window);
    }
}
