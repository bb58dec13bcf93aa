using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Linear;

/// <summary>What <see cref="Gemm"/> needs of a code path.</summary>
internal unsafe interface IGemmPath
{
    /// <summary>Weight rows that lie side by side in a panel.</summary>
    static abstract int PanelRows { get; }

    /// <summary>The most inputs of one register tile.</summary>
    static abstract int TileBatch { get; }

    /// <summary>
    /// Writes <paramref name="panel"/> <c>[source.Columns, PanelRows]</c>, widened. Rows that the source lacks are zero; columns up to
    /// <see cref="Gemm.Depth"/> that it lacks may be written, with anything.
    /// </summary>
    static abstract void Pack(in PanelSource source, float* panel);

    /// <summary>Multiplies <paramref name="count"/> inputs, 1 to <see cref="TileBatch"/>, by a panel.</summary>
    static abstract void Multiply(in GemmTile tile, int count);
}

/// <summary>Part of a weight matrix, at most one panel.</summary>
internal readonly unsafe struct PanelSource
{
    /// <summary>The part from (<paramref name="row"/>, <paramref name="column"/>), at most <paramref name="rows"/> x <paramref name="columns"/>.</summary>
    /// <param name="weights">The matrix.</param>
    /// <param name="row">First row.</param>
    /// <param name="rows">Rows at most.</param>
    /// <param name="column">First column, a multiple of <see cref="WeightMatrix.BlockSize"/>.</param>
    /// <param name="columns">Columns at most.</param>
    public PanelSource(in WeightMatrix weights, int row, int rows, int column, int columns)
    {
        Type = weights.Type;
        Rows = Math.Min(rows, weights.Rows - row);
        Columns = Math.Min(columns, weights.Columns - column);
        Stride = (nint)weights.Columns * Type.Size();
        Data = (byte*)weights.Data + (row * Stride) + ((nint)column * Type.Size());
        if (Type != DataType.Q8) return;
        ScaleStride = (nint)(weights.Columns / WeightMatrix.BlockSize) * sizeof(ushort);
        Scales = (byte*)weights.Scales + (row * ScaleStride) + ((nint)(column / WeightMatrix.BlockSize) * sizeof(ushort));
    }

    /// <summary>How <see cref="Data"/> is stored.</summary>
    public DataType Type { get; }

    /// <summary>The first element.</summary>
    public byte* Data { get; }

    /// <summary>Bytes from a row to the next.</summary>
    public nint Stride { get; }

    /// <summary>The scale of the first element's block, for Q8.</summary>
    public byte* Scales { get; }

    /// <summary>Bytes from a row's scales to the next row's.</summary>
    public nint ScaleStride { get; }

    /// <summary>Rows there are.</summary>
    public int Rows { get; }

    /// <summary>Columns there are.</summary>
    public int Columns { get; }
}

/// <summary>One register tile: <c>Output[i, r] (+)= Σ_k Input[i, k] Panel[k, r] + Bias[r]</c> for every row of the panel.</summary>
internal unsafe struct GemmTile
{
    /// <summary>Packed inputs, <see cref="Gemm.InputStride"/> floats apart.</summary>
    public float* Input;

    /// <summary><c>[Depth, PanelRows]</c>.</summary>
    public float* Panel;

    /// <summary>Columns to sum over, at least 1.</summary>
    public int Depth;

    /// <summary>The output of the first input and row.</summary>
    public float* Output;

    /// <summary>Floats from an input's outputs to the next input's.</summary>
    public nint OutputStride;

    /// <summary><c>[PanelRows]</c>, or null.</summary>
    public float* Bias;

    /// <summary>Add to what the output holds.</summary>
    public bool Add;

    /// <summary>Packed inputs to fetch into L1 meanwhile, <see cref="NextInputs"/> of them.</summary>
    public float* NextInput;

    /// <summary>How many inputs to fetch; may be 0.</summary>
    public int NextInputs;

    /// <summary>Weights to fetch into L2 meanwhile, for the panels that are packed next.</summary>
    public byte* NextWeights;

    /// <summary>Bytes from a row of <see cref="NextWeights"/> to the next.</summary>
    public nint NextStride;

    /// <summary>How many rows of weights to fetch; may be 0.</summary>
    public int NextRows;

    /// <summary>Bytes of a weight.</summary>
    public int NextSize;

    /// <summary>
    /// Fetches the outputs of one input, a cache line of each next input and 16 weights of each next row: called every 16 columns, so
    /// that memory is busy all the time and never with more than the core can have under way. What lies past the end of a row is
    /// fetched but never read.
    /// </summary>
    /// <param name="column">The column that is multiplied next, a multiple of 16.</param>
    /// <param name="count">Inputs of this tile.</param>
    /// <param name="panelRows"><see cref="IGemmPath.PanelRows"/>.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Fetch(int column, int count, int panelRows)
    {
        int step = column / 16;
        if (step < count)
        {
            // Worth it even where the outputs are only written: a store waits for its line as well.
            for (int row = 0; row < panelRows; row += 16) Sse.Prefetch0(Output + (step * OutputStride) + row);
        }

        float* input = NextInput + column;
        for (int i = 0; i < NextInputs; i++) Sse.Prefetch0(input + (i * Gemm.InputStride));
        byte* weights = NextWeights + (column * NextSize);
        for (int row = 0; row < NextRows; row++) Sse.Prefetch1(weights + (row * NextStride));
    }
}
