using System.Diagnostics.CodeAnalysis;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels.Cases;

/// <summary><see cref="TopK.Select"/>.</summary>
internal sealed class TopKCase : KernelCase
{
    private readonly Operand _values;
    private readonly int[] _indices;

    /// <summary>Makes the operands.</summary>
    /// <param name="length">Values.</param>
    /// <param name="count">How many are selected.</param>
    [SetsRequiredMembers]
    public TopKCase(int length, int count)
        : base("top_k", DataType.F32, $"{count} of {length} 1 thread")
    {
        OneThread = true;
        OnePath = true;
        Bytes = (double)(length + count) * sizeof(float);
        _values = Own(new Operand(length, DataType.F32));
        _indices = new int[count];
    }

    public override void Check(KernelContext context)
    {
        Run(context);
        float[] values = _values.Floats(0).ToArray();
        int[] expected = [.. Enumerable.Range(0, values.Length).OrderByDescending(i => values[i]).ThenBy(i => i).Take(_indices.Length).Order()];
        for (int i = 0; i < expected.Length; i++) Require(_indices[i], expected[i], 0, context, $"index {i}");
    }

    protected override void Execute(KernelContext context) => TopK.Select(_values.Floats(0), _indices);
}
