using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;

namespace Equip.Bench.Kernels;

/// <summary>One kernel at one shape with its operands: what is timed, and what its result must be.</summary>
/// <param name="kernel">The kernel's name in results.</param>
/// <param name="type">How the operand that dominates is stored.</param>
/// <param name="shape">The shape as people write it.</param>
internal abstract class KernelCase(string kernel, DataType type, string shape) : IDisposable
{
    private const int Seed = 7;

    private readonly List<IDisposable> _owned = [];

    /// <summary>The kernel's name in results.</summary>
    public string Kernel => kernel;

    /// <summary>How the operand that dominates is stored.</summary>
    public DataType Type => type;

    /// <summary>The shape as people write it.</summary>
    public string Shape => shape;

    /// <summary>Bytes that a call must read and write, each once: what a write fetches first is not counted.</summary>
    public required double Bytes { get; init; }

    /// <summary>Bytes that a call touches, what is read and written in place once.</summary>
    public double WorkingSet { get => field == 0 ? Bytes : field; init; }

    /// <summary>Floating-point operations of a call that arithmetic limits; 0 if memory does.</summary>
    public double Flops { get; init; }

    /// <summary>Whether the kernel takes no threads.</summary>
    public bool OneThread { get; init; }

    /// <summary>Whether the kernel has one path for all processors.</summary>
    public bool OnePath { get; init; }

    /// <summary>The copy of the operands that the current call uses.</summary>
    protected int Copy { get; private set; }

    /// <summary>Copies that calls take in turns.</summary>
    protected int Copies { get; init; } = 1;

    /// <summary>Runs the kernel once, on the next copy of its operands.</summary>
    public void Run(KernelContext context)
    {
        Copy = (Copy + 1) % Copies;
        Execute(context);
    }

    /// <summary>Runs the kernel once and holds the result, or samples of a large one, to a plain loop in double.</summary>
    /// <exception cref="InvalidOperationException">It is wrong.</exception>
    public abstract void Check(KernelContext context);

    public void Dispose()
    {
        // What was made last may hold what was made before it.
        for (int i = _owned.Count - 1; i >= 0; i--) _owned[i].Dispose();
    }

    /// <summary>Copies of <paramref name="bytes"/> that together fill <paramref name="footprint"/>, at least one.</summary>
    protected static int CopiesFor(double bytes, long footprint) => (int)Math.Max(1, Math.Ceiling(footprint / bytes));

    /// <summary>Calls the kernel on <see cref="Copy"/>.</summary>
    protected abstract void Execute(KernelContext context);

    /// <summary>Something to dispose of with the case.</summary>
    protected T Own<T>(T owned)
        where T : IDisposable
    {
        _owned.Add(owned);
        return owned;
    }

    /// <summary>The first, the last and some indices between; all of a short range.</summary>
    protected static IEnumerable<int> Samples(int total, int count)
    {
        if (total <= count) return Enumerable.Range(0, total);
        Random random = new(Seed);
        return Enumerable.Range(0, count - 2).Select(_ => random.Next(total)).Prepend(total - 1).Prepend(0);
    }

    /// <summary>Refuses a value that is off by more than <paramref name="tolerance"/>, or is not a number.</summary>
    protected void Require(double actual, double expected, double tolerance, KernelContext context, string place)
    {
        if (!(Math.Abs(actual - expected) <= tolerance))
            throw new InvalidOperationException($"{kernel} {IsaRegistry.Name(context.Isa)} {type.Name()} {shape} is wrong at {place}: got {actual:R}, expected {expected:R} ± {tolerance:R}");
    }
}
