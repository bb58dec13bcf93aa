using System.Runtime.InteropServices;

namespace Equip.Kernels.Interop;

// The structs of equip_kernels.h, where their fields are documented; a test compares sizes and offsets. Fields are only ever appended.

/// <summary><c>equip_context_options</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct EquipContextOptions
{
    public uint StructSize;
    public int Isa;
    public int Threads;
    public int Reserved;
}

/// <summary><c>equip_rope_options</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct EquipRopeOptions
{
    public uint StructSize;
    public int HeadDim;
    public int RotaryDim;
    public int Type;
    public int Layout;
    public int OriginalMaxPositions;
    public double Theta;
    public double Factor;
    public double LowFrequencyFactor;
    public double HighFrequencyFactor;
    public double AttentionFactor;
    public double Mscale;
    public double MscaleAllDim;
    public double BetaFast;
    public double BetaSlow;
    public int Truncate;
    public int Reserved;
}

/// <summary><c>equip_attention_shape</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct EquipAttentionShape
{
    public uint StructSize;
    public int Heads;
    public int KvHeads;
    public int HeadDim;
    public int CacheType;
    public float Scale;
}

/// <summary><c>equip_attention_run</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct EquipAttentionRun
{
    public void* Keys;
    public void* Values;
    public float* Queries;
    public float* ColumnWeights;
    public int Tokens;
    public int Reserved;
}

/// <summary><c>equip_prefill_keys</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct EquipPrefillKeys
{
    public uint StructSize;
    public int Past;
    public int Window;
    public int Sinks;
    public long HeadStride;
    public void* Keys;
    public void* Values;
}

/// <summary><c>equip_matrix</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct EquipMatrix
{
    public uint StructSize;
    public int Type;
    public int Rows;
    public int Columns;
    public void* Data;
    public void* Scales;
}

/// <summary><c>equip_policy_options</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct EquipPolicyOptions
{
    public uint StructSize;
    public int BudgetTokens;
    public int SinkTokens;
    public int RecentTokens;
    public int WindowTokens;
    public int PoolKernel;
    public int PoolMode;
    public int Allocation;
    public int Reading;
    public int Then;
}

/// <summary><c>equip_policy_info</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct EquipPolicyInfo
{
    public uint StructSize;
    public int CapacityTokens;
    public int RecentTokens;
    public int PageTokens;
    public int PromptQueryTokens;
    public int WantsUnrotatedQueries;
    public int ObservesAttention;
    public int PromptWindow;
    public int PromptSinks;
    public int Lossy;
}

/// <summary><c>equip_cache_options</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct EquipCacheOptions
{
    public uint StructSize;
    public int Layers;
    public int Heads;
    public int KvHeads;
    public int HeadDim;
    public int CacheType;
    public int PageTokens;
    public int Positions;
    public int CapacityTokens;
    public int SinkTokens;
    public float Scale;
    public int Reserved;
}

/// <summary><c>equip_prompt</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct EquipPrompt
{
    public uint StructSize;
    public int Tokens;
    public int FirstPosition;
    public int QueryTokens;
    public void* Keys;
    public void* Values;
    public float* Queries;
    public EquipMatrix* Output;
}
