namespace Equip.Kernels.Linear;

/// <summary>The inner loop of y = W x for one code path and weight type.</summary>
internal unsafe interface IRowKernel
{
    /// <summary>Bytes of a weight.</summary>
    static abstract int Size { get; }

    /// <summary>Columns are multiplied in multiples of this many.</summary>
    static abstract int Step { get; }

    /// <summary>Inputs that <see cref="Run"/> takes without running out of registers, at most 4.</summary>
    static abstract int MaxInputs { get; }

    /// <summary>Whether inputs are read in another order or precision than float32 from the first to the last.</summary>
    static abstract bool Packs { get; }

    /// <summary>Bytes of <paramref name="count"/> packed inputs of <paramref name="columns"/> columns, a multiple of 64.</summary>
    static abstract long PackedBytes(nint columns, int count);

    /// <summary>
    /// Packs inputs, step by step one beside the other, so that the inner loop reads one stream.
    /// </summary>
    /// <param name="input">Input i starts i * <paramref name="stride"/> floats on.</param>
    /// <param name="stride">Floats from input to input.</param>
    /// <param name="count">Inputs.</param>
    /// <param name="columns">Columns, a multiple of <see cref="Step"/>.</param>
    /// <param name="packed">Where they go.</param>
    static abstract void Pack(float* input, nint stride, int count, nint columns, byte* packed);

    /// <summary>sums[4 i + r] = row r · input i.</summary>
    static abstract void Run<TInputs>(in RowGroup group, byte* packed, nint columns, float* sums)
        where TInputs : struct, ICount;

    /// <summary>row · input from column <paramref name="from"/> to <paramref name="to"/>: the columns that fill no step.</summary>
    static abstract float Tail(byte* row, float* input, nint from, nint to);
}

/// <summary>Work on rows that is compiled for every path and weight type.</summary>
internal interface IRowCall
{
    void Run<TKernel>()
        where TKernel : struct, IRowKernel;
}
