using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Linear;

/// <summary>Work that is compiled for every path and every floating-point weight type.</summary>
internal interface ILinearCall
{
    void Run<TLanes, TVector, TWeights>()
        where TLanes : struct, ILinearLanes<TVector>
        where TVector : unmanaged
        where TWeights : struct, IStoredWeights;
}

/// <summary>Chooses path and weight type, once a call.</summary>
internal static class LinearPath
{
    /// <summary>Floating-point types only.</summary>
    public static void Run<TCall>(Isa isa, DataType type, ref TCall call)
        where TCall : struct, ILinearCall
    {
        if (isa == Isa.Avx512) Run<TCall, Avx512Lanes, Vector512<float>>(type, ref call);
        else if (isa == Isa.Avx2) Run<TCall, Avx2Lanes, Vector256<float>>(type, ref call);
        else Run<TCall, ScalarLanes, float>(type, ref call);
    }

    public static void RunRows<TCall>(Isa isa, DataType type, ref TCall call)
        where TCall : struct, IRowCall
    {
        if (type != DataType.Q8)
        {
            FloatCall<TCall> floats = new() { Call = call };
            Run(isa, type, ref floats);
        }
        else if (isa == Isa.Scalar)
        {
            call.Run<Q8Rows<ScalarLanes, float, ScalarBytes, nint, int>>();
        }
        else if (AvxVnni.IsSupported)
        {
            call.Run<Q8Rows<Avx2Lanes, Vector256<float>, VnniBytes, Vector256<byte>, Vector256<int>>>();
        }
        else
        {
            call.Run<Q8Rows<Avx2Lanes, Vector256<float>, Avx2Bytes, Vector256<byte>, Vector256<int>>>();
        }
    }

    private static void Run<TCall, TLanes, TVector>(DataType type, ref TCall call)
        where TCall : struct, ILinearCall
        where TLanes : struct, ILinearLanes<TVector>
        where TVector : unmanaged
    {
        if (type == DataType.F32) call.Run<TLanes, TVector, F32Weights>();
        else if (type == DataType.F16) call.Run<TLanes, TVector, F16Weights>();
        else call.Run<TLanes, TVector, BF16Weights>();
    }

    private struct FloatCall<TCall> : ILinearCall
        where TCall : struct, IRowCall
    {
        public TCall Call;

        public readonly void Run<TLanes, TVector, TWeights>()
            where TLanes : struct, ILinearLanes<TVector>
            where TVector : unmanaged
            where TWeights : struct, IStoredWeights => Call.Run<FloatRows<TLanes, TVector, TWeights>>();
    }
}
