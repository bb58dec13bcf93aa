using System.CommandLine;
using System.Globalization;
using Equip.Kernels.Dispatch;

namespace Equip.Bench.CommandLine;

/// <summary>Where the arithmetic runs.</summary>
internal enum Backend
{
    /// <summary>This machine's processor.</summary>
    Cpu,
}

/// <summary>The options that say what computes, shared by every command that runs a model.</summary>
internal sealed class ComputeSettings
{
    private readonly ListOption<Isa> _isa;
    private readonly ListOption<int> _threads;
    private readonly ListOption<Backend> _backend = ListOptions.Names(["--backend"], "What computes.", Backends, one: true);

    /// <summary>Makes the options.</summary>
    /// <param name="many">Whether paths and threads can be lists.</param>
    public ComputeSettings(bool many = false)
    {
        _isa = ListOptions.Names(["--isa"], "Code path of the kernels; auto takes EQUIP_ISA, else the fastest.", Isas, one: !many);
        _threads = ListOptions.Numbers(
            ["--threads", "-t"], "Threads.", Environment.ProcessorCount.ToString(CultureInfo.InvariantCulture), 1, WorkerPool.MaxThreads, one: !many);
    }

    /// <summary>The code paths.</summary>
    public static Choices<Isa> Isas { get; } = new(
    [
        ("auto", Isa.Auto), ("avx512", Isa.Avx512), ("avx2", Isa.Avx2), ("scalar", Isa.Scalar),
    ]);

    /// <summary>What can compute.</summary>
    public static Choices<Backend> Backends { get; } = new([("cpu", Backend.Cpu)], "cuda", "opencl", "ilgpu-cpu");

    /// <summary>Every option.</summary>
    public IEnumerable<Option> All => [_isa, _threads, _backend];

    /// <summary>A context for every combination of path and threads; the caller disposes them.</summary>
    public IReadOnlyList<KernelContext> OpenAll(ParseResult parsed)
    {
        List<KernelContext> contexts = [];
        foreach (Isa isa in _isa.Values(parsed).Select(IsaRegistry.Resolve).Distinct())
            foreach (int threads in _threads.Values(parsed))
                contexts.Add(new KernelContext(isa, threads));
        return contexts;
    }

    /// <summary>The one context asked for, where lists are taken.</summary>
    /// <exception cref="UsageException">Several are asked for.</exception>
    public KernelContext OpenOne(ParseResult parsed)
    {
        if (_isa.Values(parsed).Count * _threads.Values(parsed).Count > 1) throw new UsageException("--isa and --threads: got several values, expected one of each with --suite");
        return Open(parsed);
    }

    /// <summary>The context asked for, where lists are not taken.</summary>
    public KernelContext Open(ParseResult parsed) => new(_isa.Single(parsed), _threads.Single(parsed));
}
