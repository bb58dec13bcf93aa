using System.Text.Json;
using Equip.Kernels.Numerics;

namespace Equip.Model.Safetensors;

/// <summary>A dtype of the safetensors format. All are parsed, so that a file that holds one is checked in full.</summary>
internal sealed class StorageType
{
    private static readonly StorageType[] _all =
    [
        new("F32", 32, DataType.F32), new("F16", 16, DataType.F16), new("BF16", 16, DataType.BF16),
        new("BOOL", 8), new("U8", 8), new("I8", 8), new("U16", 16), new("I16", 16), new("U32", 32), new("I32", 32), new("U64", 64), new("I64", 64),
        new("F64", 64), new("C64", 64), new("F4", 4), new("F6_E2M3", 6), new("F6_E3M2", 6),
        new("F8_E5M2", 8), new("F8_E4M3", 8), new("F8_E8M0", 8), new("F8_E4M3FNUZ", 8), new("F8_E5M2FNUZ", 8),
    ];

    private StorageType(string name, int bits, DataType? computable = null) => (Name, Bits, Computable) = (name, bits, computable);

    /// <summary>The name in the file.</summary>
    public string Name { get; }

    /// <summary>Bits of one element.</summary>
    public int Bits { get; }

    /// <summary>The type that kernels know it by; null if they cannot compute with it.</summary>
    public DataType? Computable { get; }

    /// <summary>The type that the reader's string names, or null.</summary>
    public static StorageType? Find(ref readonly Utf8JsonReader reader)
    {
        foreach (StorageType type in _all)
            if (reader.ValueTextEquals(type.Name)) return type;
        return null;
    }
}
