namespace Equip.Kernels.Numerics;

/// <summary>
/// Conversion between float32 and stored types. Narrowing rounds to nearest even; NaN stays NaN (quiet), infinities and
/// subnormals are exact.
/// </summary>
public static class Conversion
{
    /// <summary>Converts <paramref name="destination"/>.Length stored elements (f32, f16 or bf16) to float32.</summary>
    /// <exception cref="ArgumentException">A null pointer with a positive length, or a type that cannot be widened.</exception>
    public static unsafe void Widen(Dispatch.Isa isa, void* source, DataType type, Span<float> destination) => throw new NotImplementedException();

    /// <summary>Converts float32 to <paramref name="source"/>.Length stored elements (f32, f16 or bf16).</summary>
    /// <exception cref="ArgumentException">A null pointer with a positive length, or a type that cannot be narrowed to.</exception>
    public static unsafe void Narrow(Dispatch.Isa isa, ReadOnlySpan<float> source, void* destination, DataType type) => throw new NotImplementedException();
}
