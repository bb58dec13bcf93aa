namespace Equip.Kernels.Eviction;

/// <summary>What the tokens of a prompt see while it is processed.</summary>
/// <param name="Window">0: everything before; else the most recent rows, own row included.</param>
/// <param name="Sinks">With a window: first rows that every token sees besides.</param>
public readonly record struct PromptMask(int Window, int Sinks);
