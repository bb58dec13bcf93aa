using System.Runtime.Intrinsics;
using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Numerics;

/// <summary>
/// Conversion between float32 and stored types. Widening is exact. Narrowing rounds to nearest even, overflows to infinity
/// and keeps subnormals. NaN stays NaN: quiet, except that widening bfloat16 keeps its bits. Every path gives the same bits.
/// </summary>
public static unsafe class Conversion
{
    /// <summary>Converts <paramref name="destination"/>.Length stored elements (f32, f16 or bf16) to float32.</summary>
    /// <param name="isa">The code path.</param>
    /// <param name="source">As many elements of <paramref name="type"/> as <paramref name="destination"/> holds; apart from it, except that f32 is moved.</param>
    /// <param name="type">f32, f16 or bf16.</param>
    /// <param name="destination">Receives the values.</param>
    /// <exception cref="ArgumentException">A null pointer with a positive length, a type that cannot be widened, or overlap.</exception>
    /// <exception cref="PlatformNotSupportedException">The path does not run here.</exception>
    public static void Widen(Isa isa, void* source, DataType type, Span<float> destination)
    {
        isa = Check(isa, type);
        int length = destination.Length;
        if (length == 0) return;
        Require.NotNull(source, nameof(source));
        fixed (float* wide = destination)
        {
            if (type == DataType.F32)
            {
                new ReadOnlySpan<float>(source, length).CopyTo(destination);
                return;
            }

            RequireApart(source, wide, length, nameof(destination));
            if (type == DataType.F16) Widen<ElementF16>(isa, (byte*)source, wide, length);
            else Widen<ElementBF16>(isa, (byte*)source, wide, length);
        }
    }

    /// <summary>Converts float32 to <paramref name="source"/>.Length stored elements (f32, f16 or bf16).</summary>
    /// <param name="isa">The code path.</param>
    /// <param name="source">The values.</param>
    /// <param name="destination">Receives as many elements of <paramref name="type"/>; apart from <paramref name="source"/>, except that f32 is moved.</param>
    /// <param name="type">f32, f16 or bf16.</param>
    /// <exception cref="ArgumentException">A null pointer with a positive length, a type that cannot be narrowed to, or overlap.</exception>
    /// <exception cref="PlatformNotSupportedException">The path does not run here.</exception>
    public static void Narrow(Isa isa, ReadOnlySpan<float> source, void* destination, DataType type)
    {
        isa = Check(isa, type);
        int length = source.Length;
        if (length == 0) return;
        Require.NotNull(destination, nameof(destination));
        fixed (float* wide = source)
        {
            if (type == DataType.F32)
            {
                source.CopyTo(new Span<float>(destination, length));
                return;
            }

            RequireApart(destination, wide, length, nameof(destination));
            if (type == DataType.F16) Narrow<ElementF16>(isa, wide, (byte*)destination, length);
            else Narrow<ElementBF16>(isa, wide, (byte*)destination, length);
        }
    }

    private static Isa Check(Isa isa, DataType type)
    {
        if (type is not (DataType.F32 or DataType.F16 or DataType.BF16))
            throw new ArgumentOutOfRangeException(nameof(type), type, $"type: got {type}, expected F32, F16 or BF16");
        return IsaRegistry.Resolve(isa);
    }

    private static void RequireApart(void* halfwords, float* wide, long length, string name)
    {
        if ((byte*)halfwords < (byte*)(wide + length) && (byte*)wide < (byte*)halfwords + (2 * length))
            throw new ArgumentException($"{name}: overlaps source", name);
    }

    private static void Widen<TElement>(Isa isa, byte* source, float* destination, int length)
        where TElement : struct, IElement
    {
        int done = isa switch
        {
            Isa.Avx512 => WidenWhole<TElement, Avx512Lanes, Vector512<float>, Vector512<uint>>(source, destination, 0, length),
            Isa.Avx2 => WidenWhole<TElement, Avx2Lanes, Vector256<float>, Vector256<uint>>(source, destination, 0, length),
            _ => 0,
        };
        WidenWhole<TElement, ScalarLanes, float, uint>(source, destination, done, length);
    }

    private static int WidenWhole<TElement, TLanes, TFloats, TWords>(byte* source, float* destination, int first, int length)
        where TElement : struct, IElement
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        int i = first;
        for (; i <= length - TLanes.Count; i += TLanes.Count)
            TLanes.Store(TElement.Load<TLanes, TFloats, TWords>(source + ((long)i * TElement.Size)), destination + i);
        return i;
    }

    private static void Narrow<TElement>(Isa isa, float* source, byte* destination, int length)
        where TElement : struct, IElement
    {
        int done = isa switch
        {
            Isa.Avx512 => NarrowWhole<TElement, Avx512Lanes, Vector512<float>, Vector512<uint>>(source, destination, 0, length),
            Isa.Avx2 => NarrowWhole<TElement, Avx2Lanes, Vector256<float>, Vector256<uint>>(source, destination, 0, length),
            _ => 0,
        };
        NarrowWhole<TElement, ScalarLanes, float, uint>(source, destination, done, length);
    }

    private static int NarrowWhole<TElement, TLanes, TFloats, TWords>(float* source, byte* destination, int first, int length)
        where TElement : struct, IElement
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        int i = first;
        for (; i <= length - TLanes.Count; i += TLanes.Count)
            TElement.Store<TLanes, TFloats, TWords>(TLanes.Load(source + i), destination + ((long)i * TElement.Size));
        return i;
    }
}
