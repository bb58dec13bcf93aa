using Equip.Kernels.Dispatch;
using Equip.Kernels.Linear;
using Equip.Kernels.Numerics;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Linear;

/// <summary>One product with random operands, and its value in double.</summary>
internal sealed unsafe class GemmCase : IDisposable
{
    private readonly DataType _type;
    private readonly int _rows;
    private readonly int _columns;
    private readonly int _batch;
    private readonly float[] _widened;
    private readonly GuardedBuffer _weights;
    private readonly GuardedBuffer _scales;
    private readonly GuardedBuffer _input;
    private readonly GuardedBuffer _output;
    private readonly GuardedBuffer _bias;

    public GemmCase(DataType type, int rows, int columns, int batch, int seed)
    {
        (_type, _rows, _columns, _batch) = (type, rows, columns, batch);
        _weights = new GuardedBuffer(rows * columns * type.Size());
        _scales = new GuardedBuffer(rows * ((columns + 31) / 32) * 2);
        _input = new GuardedBuffer(batch * columns * 4);
        _output = new GuardedBuffer(batch * rows * 4);
        _bias = new GuardedBuffer(rows * 4);
        _widened = TestData.Random(rows * columns, seed);
        Store();
        Refill(seed);
        TestData.Random(rows, seed + 2).CopyTo(_bias.AsSpan<float>());
    }

    public Span<byte> Weights => _weights.AsSpan<byte>();

    public void* Scales => _type == DataType.Q8 ? _scales.Pointer : null;

    public Span<float> Input => _input.AsSpan<float>();

    public Span<float> Output => _output.AsSpan<float>();

    public float* Bias => (float*)_bias.Pointer;

    public void Refill(int seed)
    {
        TestData.Random(Input.Length, seed + 1).CopyTo(Input);
        TestData.Random(Output.Length, seed + 3).CopyTo(Output);
    }

    public void Run(KernelContext context, bool bias, bool accumulate)
    {
        WeightMatrix matrix = new(_weights.Pointer, _type, _rows, _columns, Scales);
        Gemm.Multiply(context, matrix, (float*)_input.Pointer, (float*)_output.Pointer, _batch, bias ? Bias : null, accumulate);
    }

    /// <summary>Runs, and holds every output to the bound of summation in float32: (terms in a row) x 2^-24 x the sum of magnitudes.</summary>
    public void Check(KernelContext context, bool bias, bool accumulate)
    {
        float[] before = Output.ToArray();
        Run(context, bias, accumulate);
        _output.AssertCanary();
        double bound = Math.ScaleB(Math.Min(_columns, Gemm.Depth) + (_columns / Gemm.Depth) + 4, -24);
        Span<float> input = Input, output = Output;
        for (int i = 0; i < _batch; i++)
        {
            for (int row = 0; row < _rows; row++)
            {
                int at = (i * _rows) + row;
                double sum = (accumulate ? before[at] : 0.0) + (bias ? Bias[row] : 0.0);
                double magnitude = (accumulate ? Math.Abs(before[at]) : 0) + (bias ? Math.Abs(Bias[row]) : 0);
                for (int column = 0; column < _columns; column++)
                {
                    double term = (double)input[(i * _columns) + column] * _widened[(row * _columns) + column];
                    sum += term;
                    magnitude += Math.Abs(term);
                }

                if (!(Math.Abs(output[at] - sum) <= bound * magnitude))
                    Assert.Fail($"{_type.Name()} batch {_batch} columns {_columns} rows {_rows} [{i}, {row}]: got {output[at]:R}, expected {sum:R}");
            }
        }
    }

    public void Dispose()
    {
        _weights.Dispose();
        _scales.Dispose();
        _input.Dispose();
        _output.Dispose();
        _bias.Dispose();
    }

    /// <summary>Stores the weights in their type, and keeps what was stored.</summary>
    private void Store()
    {
        for (int i = 0; i < _widened.Length; i++)
        {
            switch (_type)
            {
                case DataType.F32:
                    ((float*)_weights.Pointer)[i] = _widened[i];
                    break;
                case DataType.F16:
                    Half half = (Half)_widened[i];
                    ((Half*)_weights.Pointer)[i] = half;
                    _widened[i] = (float)half;
                    break;
                case DataType.BF16:
                    int bits = BitConverter.SingleToInt32Bits(_widened[i]) & unchecked((int)0xFFFF0000);
                    ((ushort*)_weights.Pointer)[i] = (ushort)(bits >> 16);
                    _widened[i] = BitConverter.Int32BitsToSingle(bits);
                    break;
                default:
                    // A scale a block, from subnormal to large.
                    Half scale = (Half)MathF.ScaleB(1.37f, ((i / 32 * 7) % 23) - 18);
                    ((Half*)_scales.Pointer)[i / 32] = scale;
                    sbyte value = (sbyte)Math.Clamp(_widened[i] * 30, -128, 127);
                    ((sbyte*)_weights.Pointer)[i] = value;
                    _widened[i] = value * (float)scale;
                    break;
            }
        }
    }
}
