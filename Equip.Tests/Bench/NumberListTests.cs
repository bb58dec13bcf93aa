using Equip.Bench.CommandLine;

namespace Equip.Tests.Bench;

internal sealed class NumberListTests
{
    [TestCase("7", new[] { 7 })]
    [TestCase("1-4", new[] { 1, 2, 3, 4 })]
    [TestCase("5-5", new[] { 5 })]
    [TestCase("16-64+16", new[] { 16, 32, 48, 64 })]
    [TestCase("16-60+16", new[] { 16, 32, 48 })]
    [TestCase("64-512*2", new[] { 64, 128, 256, 512 })]
    [TestCase("3-100*3", new[] { 3, 9, 27, 81 })]
    [TestCase("0-4096+2048", new[] { 0, 2048, 4096 })]
    [TestCase("2147483646-2147483647", new[] { 2147483646, 2147483647 })]
    public void ParseItem_NumberOrRange_Expands(string text, int[] expected) =>
        Assert.That(NumberList.ParseItem(text, 0, int.MaxValue), Is.EqualTo(expected));

    [TestCase("", "expected a number")]
    [TestCase("x", "expected a number")]
    [TestCase("1-", "expected a number")]
    [TestCase("1-5+", "expected a number")]
    [TestCase("1.5", "expected a number")]
    [TestCase("99999999999999999999", "expected a number")]
    [TestCase("1-5+0", "got 0, expected at least 1")]
    [TestCase("1-5*1", "factor of at least 2")]
    [TestCase("0-8*2", "start of at least 1")]
    [TestCase("5-1", "not to lie before its start")]
    [TestCase("1-1000000", "at most 10000 numbers")]
    [TestCase("-4", "got -4, expected at least 0")]
    [TestCase("4294967297", "got 4294967297, expected at least 0")]
    public void ParseItem_Wrong_SaysWhatWasExpected(string text, string problem) =>
        Assert.That(() => NumberList.ParseItem(text, 0, int.MaxValue), Throws.TypeOf<FormatException>().With.Message.Contains(problem));

    [TestCase("0")]
    [TestCase("9")]
    [TestCase("1-9")]
    public void ParseItem_OutsideLimits_NamesThem(string text) =>
        Assert.That(() => NumberList.ParseItem(text, 1, 8), Throws.TypeOf<FormatException>().With.Message.Contains("expected 1 to 8"));
}
