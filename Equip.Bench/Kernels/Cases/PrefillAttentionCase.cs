using System.Diagnostics.CodeAnalysis;
using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels.Cases;

/// <summary><see cref="PrefillAttention"/> of a whole prompt.</summary>
internal sealed unsafe class PrefillAttentionCase : KernelCase
{
    private readonly AttentionShape _shape;
    private readonly int _tokens;
    private readonly Operand _keys, _values, _queries, _output;

    /// <summary>Makes the operands.</summary>
    /// <param name="shape">Heads, head dimension, cache type.</param>
    /// <param name="tokens">Tokens of the prompt.</param>
    [SetsRequiredMembers]
    public PrefillAttentionCase(AttentionShape shape, int tokens)
        : base("attention_prefill", shape.CacheType, $"{AttentionReference.Name(shape)} T{tokens}")
    {
        (_shape, _tokens) = (shape, tokens);
        _keys = Own(new Operand((long)shape.KvHeads * tokens * shape.HeadDim, shape.CacheType));
        _values = Own(new Operand(_keys.Count, shape.CacheType));
        _queries = Own(new Operand((long)tokens * shape.Heads * shape.HeadDim, DataType.F32, scale: AttentionReference.QueryScale));
        _output = Own(new Operand(_queries.Count, DataType.F32));
        Bytes = (2.0 * _keys.Count * shape.CacheType.Size()) + (2.0 * _queries.Count * sizeof(float));
        Flops = 4.0 * shape.HeadDim * shape.Heads * tokens * (tokens + 1) / 2;
    }

    public override void Check(KernelContext context)
    {
        Run(context);
        foreach (int item in Samples(_tokens * _shape.Heads, 16))
        {
            int token = item / _shape.Heads, head = item % _shape.Heads;
            long query = (long)item * _shape.HeadDim;
            AttentionReference reference = new(_shape, _queries, query, _keys, _values, 0, (long)(head / _shape.Group) * _tokens, token + 1);
            for (int i = 0; i < _shape.HeadDim; i++)
                Require(_output.Value(0, query + i), reference.Output[i], reference.Tolerance[i], context, $"token {token} head {head} element {i}");
        }
    }

    protected override void Execute(KernelContext context)
    {
        PrefillKeys keys = new() { Keys = _keys.At(0), Values = _values.At(0), HeadStride = _tokens };
        PrefillAttention.Attend(context, _shape, _queries.Floats(0), [], keys, _output.Floats(0), _tokens);
    }
}
