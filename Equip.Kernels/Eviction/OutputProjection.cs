using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Kernels.Numerics;

namespace Equip.Kernels.Eviction;

/// <summary>
/// What scores need of the attention output projections W_O of a model. |v W_O^h|_2 is sqrt(v' G v) with the Gram matrix G of the
/// head's part of W_O, <c>[headDim, headDim]</c>: hidden / headDim times fewer operations than the product. Gram matrices are
/// computed when first asked for and kept, in float32.
/// </summary>
public sealed unsafe class OutputProjection
{
    private readonly KernelContext _context;
    private readonly WeightMatrix[] _layers;
    private readonly int _heads;
    private readonly int _group;
    private readonly int _headDim;
    private readonly Dictionary<(Kind Kind, int Layer, int First, int Second), float[]> _grams = [];

    /// <summary>Describes the projections; their memory must outlive this.</summary>
    /// <param name="context">Path and threads.</param>
    /// <param name="layers">A layer's W_O as stored, <c>[hidden, heads * headDim]</c>.</param>
    /// <param name="heads">Query heads.</param>
    /// <param name="kvHeads">KV heads.</param>
    /// <exception cref="ArgumentException">The matrices differ in shape, or their columns are no multiple of the heads.</exception>
    public OutputProjection(KernelContext context, IEnumerable<WeightMatrix> layers, int heads, int kvHeads)
    {
        ArgumentNullException.ThrowIfNull(context);
        _context = context;
        _layers = [.. layers];
        Require.InRange(_layers.Length, 1, int.MaxValue, nameof(layers));
        Require.InRange(kvHeads, 1, heads);
        Require.Multiple(heads, kvHeads);
        foreach (WeightMatrix layer in _layers)
        {
            Require.Multiple(layer.Columns, heads, nameof(layers));
            if (layer.Rows != _layers[0].Rows || layer.Columns != _layers[0].Columns) throw new ArgumentException("layers: matrices of different shapes", nameof(layers));
        }

        _heads = heads;
        _group = heads / kvHeads;
        _headDim = _layers[0].Columns / heads;
    }

    private enum Kind
    {
        Pair,
        Joint,
        Summed,
    }

    /// <summary>Outputs of W_O.</summary>
    public int HiddenSize => _layers[0].Rows;

    /// <summary>Bytes of the Gram matrices kept so far.</summary>
    public long Bytes => (long)_grams.Count * _headDim * _headDim * sizeof(float);

    /// <summary>A query head's part of W_O in float32, <c>[hidden, headDim]</c>: output = part x value.</summary>
    public float[] HeadPart(int layer, int head)
    {
        Require.InRange(layer, 0, _layers.Length - 1);
        Require.InRange(head, 0, _heads - 1);
        WeightMatrix matrix = _layers[layer];
        float[] part = new float[checked(matrix.Rows * _headDim)];
        for (int row = 0; row < matrix.Rows; row++)
        {
            long first = ((long)row * matrix.Columns) + ((long)head * _headDim);
            Span<float> destination = part.AsSpan(row * _headDim, _headDim);
            if (matrix.Type == DataType.Q8) WidenBlocks(matrix, first, destination);
            else Conversion.Widen(_context.Isa, (byte*)matrix.Data + (first * matrix.Type.Size()), matrix.Type, destination);
        }

        return part;
    }

    /// <summary>Inner products of two query heads' parts: v' G v = [v W_O^head, v W_O^other].</summary>
    public ReadOnlySpan<float> Gram(int layer, int head, int other) => Get(Kind.Pair, layer, head, other);

    /// <summary>The sum of a KV head's query heads' own Gram matrices: v' G v = sum over the group of |v W_O^h|^2.</summary>
    public ReadOnlySpan<float> JointGram(int layer, int kvHead) => Get(Kind.Joint, layer, kvHead, 0);

    /// <summary>The Gram matrix of the sum of a KV head's parts: v' G v = |v (sum over the group of W_O^h)|^2.</summary>
    public ReadOnlySpan<float> SummedGram(int layer, int kvHead) => Get(Kind.Summed, layer, kvHead, 0);

    private float[] Get(Kind kind, int layer, int first, int second)
    {
        if (_grams.TryGetValue((kind, layer, first, second), out float[]? gram)) return gram;
        gram = kind switch
        {
            Kind.Pair => Multiply(Transposed(HeadPart(layer, first)), Transposed(HeadPart(layer, second))),
            Kind.Joint => OfGroup(layer, first, joint: true),
            _ => OfGroup(layer, first, joint: false),
        };
        _grams[(kind, layer, first, second)] = gram;
        return gram;
    }

    private float[] OfGroup(int layer, int kvHead, bool joint)
    {
        float[]? sum = null;
        for (int head = kvHead * _group; head < (kvHead + 1) * _group; head++)
        {
            float[] part = Transposed(HeadPart(layer, head)), addend = joint ? Multiply(part, part) : part;
            if (sum is null) sum = addend;
            else ScoreSums.Add(sum, addend);
        }

        return joint ? sum! : Multiply(sum!, sum!);
    }

    /// <summary><c>[headDim, hidden]</c>.</summary>
    private float[] Transposed(float[] part)
    {
        float[] transposed = new float[part.Length];
        for (int row = 0; row < HiddenSize; row++)
            for (int i = 0; i < _headDim; i++) transposed[(i * HiddenSize) + row] = part[(row * _headDim) + i];
        return transposed;
    }

    /// <summary>a b' of two <c>[headDim, hidden]</c>.</summary>
    private float[] Multiply(float[] a, float[] b)
    {
        float[] product = new float[_headDim * _headDim];
        fixed (float* rows = b) LinearLayer.Multiply(_context, new WeightMatrix(rows, DataType.F32, _headDim, HiddenSize), a, product, _headDim);
        return product;
    }

    private void WidenBlocks(in WeightMatrix matrix, long first, Span<float> destination)
    {
        Span<float> scale = stackalloc float[1];
        for (int i = 0; i < destination.Length; i++)
        {
            long element = first + i;
            if (i == 0 || element % WeightMatrix.BlockSize == 0)
                Conversion.Widen(_context.Isa, (ushort*)matrix.Scales + (element / WeightMatrix.BlockSize), DataType.F16, scale);
            destination[i] = ((sbyte*)matrix.Data)[element] * scale[0];
        }
    }
}
