namespace Equip.Kernels.Linear;

/// <summary>Plain C#: a block is its address.</summary>
internal readonly unsafe struct ScalarBytes : IByteLanes<float, nint, int>
{
    public static nint LoadWeights(byte* weights) => (nint)weights;

    public static nint LoadInput(sbyte* input) => (nint)input;

    public static int LoadOffset(int* offset) => 0;

    public static float Dot(nint weights, nint input, int offset)
    {
        sbyte* left = (sbyte*)weights, right = (sbyte*)input;
        int sum = 0;
        for (int i = 0; i < WeightMatrix.BlockSize; i++) sum += left[i] * right[i];
        return sum;
    }

    public static void Scale(ushort* scales, float* inputScales, float* factors)
    {
        for (int i = 0; i < 8; i++) factors[i] = F16Weights.Widen(scales[i]) * inputScales[i];
    }

    public static int Largest(float* block)
    {
        int largest = 0;
        for (int i = 0; i < WeightMatrix.BlockSize; i++) largest = Math.Max(largest, BitConverter.SingleToInt32Bits(block[i]) & 0x7FFFFFFF);
        return largest;
    }

    public static int Round(float* block, float factor, sbyte* bytes)
    {
        int sum = 0;
        for (int i = 0; i < WeightMatrix.BlockSize; i++)
        {
            bytes[i] = factor == 0 ? (sbyte)0 : (sbyte)MathF.Round(block[i] * factor);
            sum += bytes[i];
        }

        return sum;
    }
}
