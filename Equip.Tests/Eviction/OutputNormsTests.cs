using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Eviction;

internal sealed class OutputNormsTests
{
    [Test]
    public void Norm1_AnyShape_EqualsTheNormOfTheProduct([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa, [Values(1, 3, 4, 65, 130)] int count, [Values(1, 24, 80)] int outputs, [Values(16, 64)] int width)
    {
        float[] matrix = TestData.Random(outputs * width, scale: 0.1f), rows = TestData.Random(count * width, seed: 5);
        double[] expected = [.. Enumerable.Range(0, count).Select(row => Enumerable.Range(0, outputs).Sum(output => Math.Abs(Product(row, output))))];
        TestData.AssertClose(OutputNorms.Norm1(Contexts.For(isa), matrix, rows, width, count), expected, 1e-5, 1e-5);

        double Product(int row, int output) => Enumerable.Range(0, width).Sum(i => (double)matrix[(output * width) + i] * rows[(row * width) + i]);
    }

    [Test]
    public void Norm1_NaNInARow_IsNaNThereAlone([ValueSource(typeof(Contexts), nameof(Contexts.Paths))] Isa isa)
    {
        float[] matrix = TestData.Random(40 * 16), rows = TestData.Random(9 * 16, seed: 5);
        rows[(4 * 16) + 3] = float.NaN;
        float[] norms = OutputNorms.Norm1(Contexts.For(isa), matrix, rows, 16, 9);
        Assert.That(Enumerable.Range(0, 9).Where(row => float.IsNaN(norms[row])), Is.EqualTo(Enumerable.Repeat(4, 1)));
    }
}
