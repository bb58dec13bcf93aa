namespace Equip.Kernels.Eviction;

/// <summary>How the scores of neighbouring tokens are smoothed before the choice.</summary>
public enum PoolMode
{
    /// <summary>As the policy has it (<see cref="PolicyInfo.Defaults"/>).</summary>
    Policy,

    /// <summary>The mean over the kernel; beyond the candidates counts as 0.</summary>
    Average,

    /// <summary>The largest inside the kernel.</summary>
    Max,
}
