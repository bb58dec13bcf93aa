namespace Equip.Kernels.Interop;

/// <summary>A failure that knows its status.</summary>
internal sealed class InteropException(EquipStatus status, string message) : Exception(message)
{
    public EquipStatus Status { get; } = status;
}
