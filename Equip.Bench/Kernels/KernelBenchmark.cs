using BenchmarkDotNet.Attributes;
using Equip.Kernels.Dispatch;

namespace Equip.Bench.Kernels;

/// <summary>
/// A kernel on every path, the scalar one as baseline, on all processors. A path's result is checked before it is timed, and
/// paths that the machine lacks are left out (<see cref="KernelBenchmarks"/>).
/// </summary>
public abstract class KernelBenchmark : IDisposable
{
    private KernelCase _case = null!;
    private KernelContext _context = null!;

    /// <summary>Makes the operands and checks the scalar path.</summary>
    [GlobalSetup(Target = nameof(Scalar))]
    public void SetUpScalar() => SetUp(Isa.Scalar);

    /// <summary>Makes the operands and checks the AVX2 path.</summary>
    [GlobalSetup(Target = nameof(Avx2))]
    public void SetUpAvx2() => SetUp(Isa.Avx2);

    /// <summary>Makes the operands and checks the AVX-512 path.</summary>
    [GlobalSetup(Target = nameof(Avx512))]
    public void SetUpAvx512() => SetUp(Isa.Avx512);

    /// <summary>Frees the operands.</summary>
    [GlobalCleanup]
    public void Dispose()
    {
        _case.Dispose();
        _context.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Runs the scalar path.</summary>
    [Benchmark(Baseline = true)]
    public void Scalar() => _case.Run(_context);

    /// <summary>Runs the AVX2 path.</summary>
    [Benchmark]
    public void Avx2() => _case.Run(_context);

    /// <summary>Runs the AVX-512 path.</summary>
    [Benchmark]
    public void Avx512() => _case.Run(_context);

    /// <summary>Makes the case that the parameters describe.</summary>
    private protected abstract KernelCase Create();

    private void SetUp(Isa isa)
    {
        _context = new KernelContext(isa);
        _case = Create();
        _case.Check(_context);
    }
}
