using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Eviction;

internal sealed class AttentionColumnsTests
{
    private const int Heads = 4, KvHeads = 2, Window = 5, First = 3;

    private static readonly AttentionShape _shape = new(Heads, KvHeads, 16, DataType.F32);

    [Test]
    public void Reduce_EveryReduction_EqualsLoops([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [Values(1, 15, 16, 17, 700)] int count, [Values(ColumnReduction.Sum, ColumnReduction.Mean, ColumnReduction.L2, ColumnReduction.Max)] ColumnReduction reduction, [Values] bool meanOfGroup)
    {
        int rows = First + count + 2, members = meanOfGroup ? Heads / KvHeads : 1;
        float[] probabilities = TestData.Random(Heads * Window * rows);
        float[] actual = AttentionColumns.Reduce(Contexts.For(isa), _shape, probabilities, Window, rows, First, count, reduction, meanOfGroup);
        double[] expected = new double[Heads / members * count];
        for (int i = 0; i < expected.Length; i++)
        {
            double[] column = [.. Enumerable.Range(0, Window).Select(query => Enumerable.Range(0, members).Average(member => At((i / count * members) + member, query, i % count)))];
            expected[i] = reduction switch
            {
                ColumnReduction.Sum => column.Sum(),
                ColumnReduction.Mean => column.Average(),
                ColumnReduction.L2 => Math.Sqrt(column.Sum(a => a * a)),
                _ => Math.Max(0, column.Max()),
            };
        }

        TestData.AssertClose(actual, expected, 1e-5, 1e-5);

        double At(int head, int query, int i) => probabilities[(((head * Window) + query) * rows) + First + i];
    }

    [Test]
    public void InnerProducts_TwoHeadsOfAGroup_EqualLoops([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [Values(1, 33)] int count)
    {
        int rows = First + count;
        float[] probabilities = TestData.Random(Heads * Window * rows);
        float[] actual = AttentionColumns.InnerProducts(Contexts.For(isa), _shape, probabilities, Window, rows, First, count, 0, 1);
        double[] expected = new double[KvHeads * count];
        for (int i = 0; i < expected.Length; i++)
            for (int query = 0; query < Window; query++) expected[i] += At(i / count * 2, query, i % count) * At((i / count * 2) + 1, query, i % count);
        TestData.AssertClose(actual, expected, 1e-5, 1e-5);

        double At(int head, int query, int i) => probabilities[(((head * Window) + query) * rows) + First + i];
    }
}
