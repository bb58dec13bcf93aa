using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Numerics;

internal sealed unsafe class AllocationTests
{
    [Test]
    public void EveryEntry_AfterFirstCall_AllocatesNothing()
    {
        KernelContext context = Contexts.For(IsaRegistry.Resolve(Isa.Auto));
        float[] x = TestData.Random(64 * 1024), y = new float[x.Length], weight = TestData.Random(1024);
        ushort[] stored = new ushort[x.Length];
        int[] indices = new int[500];
        Allocations.AssertNone(() =>
        {
            fixed (ushort* p = stored)
            {
                Softmax.Normalize(context, x, y, 64, 1024);
                RmsNorm.Normalize(context, x, weight, 1e-5f, y, 64);
                SwiGlu.Multiply(context, x, x, y);
                Conversion.Narrow(context.Isa, x, p, DataType.F16);
                Conversion.Widen(context.Isa, p, DataType.F16, y);
                TopK.Select(x, indices);
                TopK.SelectOrdered(x, indices);
                Pooling.Average(x, 7, y);
                Pooling.Max(x, 7, y);
            }
        });
    }
}
