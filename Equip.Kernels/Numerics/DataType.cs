namespace Equip.Kernels.Numerics;

/// <summary>How a number is stored. Arithmetic is always in float32.</summary>
public enum DataType
{
    /// <summary>IEEE 754 binary32.</summary>
    F32,

    /// <summary>IEEE 754 binary16.</summary>
    F16,

    /// <summary>bfloat16: the upper half of a binary32.</summary>
    BF16,

    /// <summary>Signed 8-bit integers in blocks of 32 that share one binary16 scale. Weights only.</summary>
    Q8,
}

/// <summary>Sizes and names of <see cref="DataType"/>.</summary>
public static class DataTypes
{
    private static ReadOnlySpan<byte> Sizes => [sizeof(float), 2, 2, 1];

    /// <summary>Bytes of one element; <see cref="DataType.Q8"/> counts its integer alone.</summary>
    public static int Size(this DataType type)
    {
        if ((uint)type >= (uint)Sizes.Length) ThrowUnknown(type);
        return Sizes[(int)type];
    }

    /// <summary>The name used on the command line and in results: f32, f16, bf16, q8.</summary>
    public static string Name(this DataType type) => type switch
    {
        DataType.F32 => "f32",
        DataType.F16 => "f16",
        DataType.BF16 => "bf16",
        DataType.Q8 => "q8",
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "not a DataType"),
    };

    private static void ThrowUnknown(DataType type) => throw new ArgumentOutOfRangeException(nameof(type), type, "not a DataType");
}
