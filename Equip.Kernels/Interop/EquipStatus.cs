namespace Equip.Kernels.Interop;

/// <summary>What every export returns: <c>equip_status</c> of equip_kernels.h, which says what each means for the state.</summary>
internal enum EquipStatus
{
    Ok = 0,
    InvalidArgument = 1,
    InvalidHandle = 2,
    InvalidState = 3,
    Busy = 4,
    Unsupported = 5,
    OutOfMemory = 6,
    Internal = 7,
}
