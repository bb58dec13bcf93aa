using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;

namespace Equip.Tests.Linear;

/// <summary>Every way to multiply bytes, of which a machine uses two.</summary>
internal sealed unsafe class ByteLanesTests
{
    [Test]
    public void Dot_Scalar_IsExact() => AssertExact<ScalarBytes, float, nint, int>(value => value);

    [Test]
    public void Dot_Avx2_IsExact()
    {
        if (!IsaRegistry.IsSupported(Isa.Avx2)) Assert.Ignore("avx2 does not run on this machine");
        AssertExact<Avx2Bytes, Vector256<float>, Vector256<byte>, Vector256<int>>(Vector256.Sum);
    }

    [Test]
    public void Dot_Vnni_IsExact()
    {
        if (!AvxVnni.IsSupported) Assert.Ignore("avx-vnni does not run on this machine");
        AssertExact<VnniBytes, Vector256<float>, Vector256<byte>, Vector256<int>>(Vector256.Sum);
    }

    private static void AssertExact<TBytes, TVector, TBlock, TInts>(Func<TVector, float> sum)
        where TBytes : struct, IByteLanes<TVector, TBlock, TInts>
    {
        Random random = new(3);
        sbyte* weights = stackalloc sbyte[32], input = stackalloc sbyte[32];
        for (int round = 0; round < 2000; round++)
        {
            int expected = 0, offset = 0;
            for (int i = 0; i < 32; i++)
            {
                // Every tenth round holds extremes only, where 16-bit sums would overflow first.
                weights[i] = (sbyte)(round % 10 == 0 ? (random.Next(2) == 0 ? -128 : 127) : random.Next(-128, 128));
                input[i] = (sbyte)(round % 10 == 0 ? (random.Next(4) == 0 ? -127 : 127) : random.Next(-127, 128));
                expected += weights[i] * input[i];
                offset -= 128 * input[i];
            }

            float actual = sum(TBytes.Dot(TBytes.LoadWeights((byte*)weights), TBytes.LoadInput(input), TBytes.LoadOffset(&offset)));
            Assert.That(actual, Is.EqualTo((float)expected), $"round {round}");
        }
    }
}
