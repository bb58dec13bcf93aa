using System.Diagnostics.CodeAnalysis;
using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels.Cases;

/// <summary><see cref="DecodeAttention"/> of one sequence, one run a KV head.</summary>
internal sealed unsafe class DecodeAttentionCase : KernelCase
{
    private readonly AttentionShape _shape;
    private readonly int _tokens;
    private readonly Operand _keys, _values, _queries, _output;
    private readonly AttentionRun[] _runs;
    private readonly int[] _firstRun;

    /// <summary>Makes the operands.</summary>
    /// <param name="shape">Heads, head dimension, cache type.</param>
    /// <param name="tokens">Rows of each KV head.</param>
    /// <param name="footprint">Bytes that calls go through before they come back to the same rows.</param>
    [SetsRequiredMembers]
    public DecodeAttentionCase(AttentionShape shape, int tokens, long footprint = 0)
        : base("attention_decode", shape.CacheType, $"{AttentionReference.Name(shape)} T{tokens}")
    {
        (_shape, _tokens) = (shape, tokens);
        Bytes = 2.0 * shape.KvHeads * tokens * shape.RowBytes;
        Copies = CopiesFor(Bytes, footprint);
        _keys = Own(new Operand((long)shape.KvHeads * tokens * shape.HeadDim, shape.CacheType, Copies));
        _values = Own(new Operand(_keys.Count, shape.CacheType, Copies));
        _queries = Own(new Operand(shape.Heads * shape.HeadDim, DataType.F32, scale: AttentionReference.QueryScale));
        _output = Own(new Operand(_queries.Count, DataType.F32));
        _runs = new AttentionRun[shape.KvHeads];
        _firstRun = [.. Enumerable.Range(0, shape.KvHeads + 1)];
    }

    public override void Check(KernelContext context)
    {
        Run(context);
        foreach (int head in Samples(_shape.Heads, 4))
        {
            AttentionReference reference = new(_shape, _queries, (long)head * _shape.HeadDim, _keys, _values, Copy, (long)(head / _shape.Group) * _tokens, _tokens);
            for (int i = 0; i < _shape.HeadDim; i++)
                Require(_output.Value(0, (head * _shape.HeadDim) + i), reference.Output[i], reference.Tolerance[i], context, $"head {head} element {i}");
        }
    }

    protected override void Execute(KernelContext context)
    {
        long rows = (long)_tokens * _shape.RowBytes;
        for (int head = 0; head < _runs.Length; head++)
        {
            _runs[head] = new AttentionRun
            {
                Keys = (byte*)_keys.At(Copy) + (head * rows),
                Values = (byte*)_values.At(Copy) + (head * rows),
                Queries = (float*)_queries.At(0) + (head * _shape.Group * _shape.HeadDim),
                Tokens = _tokens,
            };
        }

        DecodeAttention.Attend(context, _shape, _runs, _firstRun, _output.Floats(0));
    }
}
