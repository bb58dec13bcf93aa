using System.Diagnostics.CodeAnalysis;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Rope;

/// <summary>
/// Rotates rows by the angles of a <see cref="RopeTable"/> (RoPE, arXiv 2104.09864): a pair (x, y) becomes
/// (x cos - y sin, y cos + x sin).
/// </summary>
public static unsafe partial class RopeRotation
{
    /// <summary>Rotates float32 rows; every token has its own angles, shared by its heads.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="table">Gives layout, headDim and the number of rotated pairs.</param>
    /// <param name="input"><c>[tokens, heads, headDim]</c>.</param>
    /// <param name="output">As <paramref name="input"/>; the same memory, or apart. Unrotated elements are copied.</param>
    /// <param name="cos"><c>[tokens, pairs]</c>.</param>
    /// <param name="sin"><c>[tokens, pairs]</c>.</param>
    /// <param name="tokens">Tokens, 0 or more.</param>
    /// <param name="heads">Heads of each token, 0 or more.</param>
    /// <exception cref="ArgumentException">A length does not fit, or spans overlap partly.</exception>
    public static void Rotate(KernelContext context, RopeTable table, ReadOnlySpan<float> input, Span<float> output, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin, int tokens, int heads)
    {
        CheckAngles(context, table, cos, sin, tokens, nameof(tokens));
        Require.InRange(heads, 0, int.MaxValue);
        long rows = (long)tokens * heads;
        if (rows > input.Length || rows * table.Options.HeadDim > input.Length) ThrowRows(input.Length, rows, table.Options.HeadDim, nameof(input));
        int length = (int)rows * table.Options.HeadDim;
        Require.AtLeast(output.Length, length);
        if (length == 0) return;
        input = input[..length];
        output = output[..length];
        Require.NoPartialOverlap(input, output, nameof(output));
        if (output.Overlaps(cos) || output.Overlaps(sin)) throw new ArgumentException("output: overlaps cos or sin", nameof(output));
        fixed (float* source = input, destination = output, c = cos, s = sin)
        {
            Arguments arguments = new()
            {
                Source = (byte*)source,
                Destination = (byte*)destination,
                Cos = c,
                Sin = s,
                Units = tokens,
                RowsPerUnit = heads,
                AnglesPerUnit = table.Pairs,
            };
            Run(context, table, &arguments, DataType.F32);
        }
    }

    /// <summary>
    /// Rotates stored rows in place by one shared rotation. 16-bit rows are rounded to nearest even, and so drift with every
    /// further rotation: by -1 each time, normal keys are off by 0.9 % after 100, 6 % after 1,000 and 23 % after 4,000 in
    /// binary16, by 5 % and 50 % after 100 and 1,000 in bfloat16 (float32: 2e-5 after 1,000, from the rounding of cos and
    /// sin). Rotate a stored 16-bit row once at most, from an unrotated copy.
    /// </summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="table">Gives layout, headDim and the number of rotated pairs.</param>
    /// <param name="rows"><c>[count, headDim]</c>, contiguous.</param>
    /// <param name="type">f32, f16 or bf16.</param>
    /// <param name="count">Rows, 0 or more.</param>
    /// <param name="cos"><c>[pairs]</c>.</param>
    /// <param name="sin"><c>[pairs]</c>.</param>
    /// <exception cref="ArgumentException">A length or pointer does not fit.</exception>
    public static void RotateStored(KernelContext context, RopeTable table, void* rows, DataType type, int count, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin)
    {
        CheckAngles(context, table, cos, sin, 1, nameof(count));
        RotateRows(context, table, rows, rows, type, count, cos, sin, 0);
    }

    /// <summary>Rotates stored rows, each by its own angles (caches that re-rotate every key by its rank).</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="table">Gives layout, headDim and the number of rotated pairs.</param>
    /// <param name="source"><c>[count, headDim]</c>, contiguous.</param>
    /// <param name="destination">As <paramref name="source"/>; the same memory, or apart. Unrotated elements are copied.</param>
    /// <param name="type">f32, f16 or bf16 of both; 16-bit rows are rounded to nearest even.</param>
    /// <param name="count">Rows, 0 or more.</param>
    /// <param name="cos"><c>[count, pairs]</c>.</param>
    /// <param name="sin"><c>[count, pairs]</c>.</param>
    /// <exception cref="ArgumentException">A length or pointer does not fit, or rows overlap partly.</exception>
    public static void RotateStoredRows(KernelContext context, RopeTable table, void* source, void* destination, DataType type, int count, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin)
    {
        CheckAngles(context, table, cos, sin, count, nameof(count));
        RotateRows(context, table, source, destination, type, count, cos, sin, table.Pairs);
    }

    /// <summary>
    /// Rotates stored rows [1, <paramref name="count"/>] by one shared rotation into rows [0, <paramref name="count"/>), in one pass
    /// and on one thread: in ascending order every row has been read when it is overwritten.
    /// </summary>
    internal static void RotateStoredDown(KernelContext context, RopeTable table, void* rows, DataType type, int count, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin)
    {
        if (count == 0) return;
        fixed (float* c = cos, s = sin)
        {
            Arguments arguments = new()
            {
                Source = (byte*)rows + ((long)table.Options.HeadDim * type.Size()),
                Destination = (byte*)rows,
                Cos = c,
                Sin = s,
                Units = count,
                RowsPerUnit = 1,
                Chunks = 1,
            };
            Run(context, table, &arguments, type);
        }
    }

    private static void RotateRows(KernelContext context, RopeTable table, void* source, void* destination, DataType type, int count, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin, int anglesPerRow)
    {
        Require.InRange(count, 0, int.MaxValue);
        if (type is not (DataType.F32 or DataType.F16 or DataType.BF16)) ThrowType(type);
        if (count == 0) return;
        Require.NotNull(source, nameof(source));
        Require.NotNull(destination, nameof(destination));
        nuint bytes = (nuint)count * (nuint)table.Options.HeadDim * (nuint)type.Size();
        RequireSameOrApart(source, bytes, destination, bytes, "source");
        fixed (float* c = cos, s = sin)
        {
            nuint angleBytes = (nuint)Math.Max(table.Pairs, (long)count * anglesPerRow) * sizeof(float);
            RequireApart(c, angleBytes, destination, bytes, nameof(cos));
            RequireApart(s, angleBytes, destination, bytes, nameof(sin));
            Arguments arguments = new()
            {
                Source = (byte*)source,
                Destination = (byte*)destination,
                Cos = c,
                Sin = s,
                Units = count,
                RowsPerUnit = 1,
                AnglesPerUnit = anglesPerRow,
            };
            Run(context, table, &arguments, type);
        }
    }

    private static void CheckAngles(KernelContext context, RopeTable table, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin, int units, string name)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(table);
        Require.InRange(units, 0, int.MaxValue, name);
        Require.AtLeast(cos.Length, (long)units * table.Pairs);
        Require.AtLeast(sin.Length, (long)units * table.Pairs);
    }

    // Messages apart: a method that writes its own clears room for them on every call.
    [DoesNotReturn]
    private static void ThrowRows(int length, long rows, int headDim, string name) => throw new ArgumentException($"{name}: got {length} elements, expected at least {rows} rows of {headDim}", name);

    [DoesNotReturn]
    private static void ThrowType(DataType type) => throw new ArgumentOutOfRangeException(nameof(type), type, $"type: got {type}, expected F32, F16 or BF16");

    [DoesNotReturn]
    private static void ThrowOverlap(string name) => throw new ArgumentException($"{name}: overlaps destination", name);

    private static void RequireSameOrApart(void* a, nuint aBytes, void* b, nuint bBytes, string name)
    {
        if (a != b) RequireApart(a, aBytes, b, bBytes, name);
    }

    private static void RequireApart(void* a, nuint aBytes, void* b, nuint bBytes, string name)
    {
        if ((nuint)a < (nuint)b + bBytes && (nuint)b < (nuint)a + aBytes) ThrowOverlap(name);
    }
}
