namespace Equip.Kernels.Numerics;

/// <summary>Selection of the largest values. Ties go to the lower index; NaN sorts lowest.</summary>
public static class TopK
{
    /// <summary>Writes the indices of the <paramref name="indices"/>.Length largest values, ascending by index.</summary>
    /// <param name="values">Candidates.</param>
    /// <param name="indices">Receives the indices; at most as long as <paramref name="values"/>.</param>
    /// <exception cref="ArgumentException">More indices than values.</exception>
    public static void Select(ReadOnlySpan<float> values, Span<int> indices) => throw new NotImplementedException();
}
