namespace Equip.Kernels.Linear;

/// <summary>
/// Blocks of 32 signed bytes on one code path. Dot products are exact for inputs in [-127, 127] and weights in [-128, 127].
/// </summary>
/// <typeparam name="TVector">Floats whose sum is the dot product.</typeparam>
/// <typeparam name="TBytes">A block.</typeparam>
/// <typeparam name="TInts">What an instruction needs to know of an input block.</typeparam>
internal unsafe interface IByteLanes<TVector, TBytes, TInts>
{
    static abstract TBytes LoadWeights(byte* weights);

    static abstract TBytes LoadInput(sbyte* input);

    static abstract TInts LoadOffset(int* offset);

    static abstract TVector Dot(TBytes weights, TBytes input, TInts offset);

    /// <summary>factors[i] = scales[i] * inputScales[i] for eight blocks.</summary>
    static abstract void Scale(ushort* scales, float* inputScales, float* factors);

    /// <summary>The bits, without sign, of the largest magnitude of a block of 32 floats; NaN is above infinity.</summary>
    static abstract int Largest(float* block);

    /// <summary>Rounds 32 floats times <paramref name="factor"/> to bytes, halves to even; all zeros if the factor is 0. Returns their sum.</summary>
    static abstract int Round(float* block, float factor, sbyte* bytes);
}
