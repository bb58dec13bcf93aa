using Equip.Bench.Decode;
using Equip.Bench.Output;

namespace Equip.Tests.Bench;

internal sealed class FormatTests
{
    [TestCase(0, "0.000")]
    [TestCase(0.01234567, "0.01235")]
    [TestCase(1.23456, "1.235")]
    [TestCase(99.999, "100.00")]
    [TestCase(123.456, "123.5")]
    [TestCase(12345.6, "12346")]
    [TestCase(-2.5, "-2.500")]
    public void Number_Value_FourSignificantDigits(double value, string expected) => Assert.That(Format.Number(value), Is.EqualTo(expected));

    [TestCase(0, "0 B")]
    [TestCase(1023, "1023 B")]
    [TestCase(1536, "1.5 KiB")]
    [TestCase(14696792, "14.0 MiB")]
    [TestCase(5e15, "4547.5 TiB")]
    public void Bytes_Value_BinaryUnits(double value, string expected) => Assert.That(Format.Bytes(value), Is.EqualTo(expected));

    [Test]
    public void Signed_Value_HasASign()
    {
        Assert.That(Format.Signed(1.5), Is.EqualTo("+1.500"));
        Assert.That(Format.Signed(-1.5), Is.EqualTo("-1.500"));
    }

    [Test]
    public void Deviation_Samples_IsTheSampleDeviation()
    {
        Assert.That(Statistics.Deviation([2, 4, 4, 4, 5, 5, 7, 9]), Is.EqualTo(Math.Sqrt(32.0 / 7)).Within(1e-12));
        Assert.That(Statistics.Deviation([3]), Is.Zero);
    }
}
