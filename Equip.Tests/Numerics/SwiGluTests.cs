using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.Numerics;

internal sealed class SwiGluTests
{
    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void Multiply_EveryLength_MatchesDouble(Isa isa)
    {
        KernelContext context = Contexts.For(isa);
        foreach (int length in TestData.Lengths)
        {
            using GuardedBuffer gate = new(length * 4), up = new(length * 4), output = new(length * 4);
            TestData.Random(length, length + 1, 3).CopyTo(gate.AsSpan<float>());
            TestData.Random(length, length + 2).CopyTo(up.AsSpan<float>());
            SwiGlu.Multiply(context, gate.AsSpan<float>(), up.AsSpan<float>(), output.AsSpan<float>());
            TestData.AssertClose(output.AsSpan<float>(), ReferenceNumerics.SwiGlu(gate.AsSpan<float>(), up.AsSpan<float>()), 1e-35, 1e-6, $"{length}");
            SwiGlu.Multiply(context, gate.AsSpan<float>(), up.AsSpan<float>(), gate.AsSpan<float>());
            Assert.That(gate.AsSpan<float>().SequenceEqual(output.AsSpan<float>()), "in place differs");
            gate.AssertCanary();
            output.AssertCanary();
        }
    }

    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void Multiply_LargeGates_SaturateWithoutNaN(Isa isa)
    {
        float[] gate = [-1000, -200, -89, -88, 88, 89, 200, 1e30f], up = [.. Enumerable.Repeat(1f, 8)], output = new float[8];
        SwiGlu.Multiply(Contexts.For(isa), gate, up, output);
        Assert.That(output[..4], Is.All.InRange(-1e-35f, 0f));
        Assert.That(output[4..], Is.EqualTo(gate[4..]));
    }

    [TestCaseSource(typeof(Contexts), nameof(Contexts.Paths))]
    public void Multiply_ThreadsAndAlignment_SameBits(Isa isa)
    {
        const int Length = 40_003;
        float[] gate = TestData.Random(Length), up = TestData.Random(Length, 2), one = new float[Length], three = new float[Length + 1];
        SwiGlu.Multiply(Contexts.For(isa, 1), gate, up, one);
        SwiGlu.Multiply(Contexts.For(isa, 3), gate, up, three.AsSpan(1));
        Assert.That(three.AsSpan(1).SequenceEqual(one));
    }

    [Test]
    public void Multiply_BadArguments_Refused()
    {
        KernelContext context = Contexts.For(Isa.Scalar);
        float[] x = new float[12];
        Assert.That(() => SwiGlu.Multiply(context, x, x.AsSpan(1), x), Throws.ArgumentException.With.Message.Contains("up: got 11"));
        Assert.That(() => SwiGlu.Multiply(context, x, x, new float[11]), Throws.ArgumentException.With.Message.Contains("at least 12"));
        Assert.That(() => SwiGlu.Multiply(context, new float[8], x.AsSpan(0, 8), x.AsSpan(1, 8)), Throws.ArgumentException.With.Message.Contains("overlaps"));
    }
}
