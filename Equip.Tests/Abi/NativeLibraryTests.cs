using System.Diagnostics;
using System.Text.RegularExpressions;
using Equip.Kernels.Dispatch;
using Equip.Tests.Safetensors;

namespace Equip.Tests.Abi;

/// <summary>
/// The built library and the samples: needs `dotnet cake --target=Native` and the sample's compiler or interpreter, and is ignored with
/// the reason where one is missing.
/// </summary>
public sealed class NativeLibraryTests
{
    private static readonly string _prefix = Path.Combine(Header.Repository(), "artifacts", "native", "linux-x64");
    private static readonly string _samples = Path.Combine(Header.Folder, "samples");

    private string _library = null!;

    [SetUp]
    public void FindLibrary()
    {
        if (!IsaRegistry.IsSupported(Isa.Avx2)) Assert.Ignore("the library needs AVX2");
        _library = Path.Combine(_prefix, "lib", "libequip_kernels_v3.so");
        if (!File.Exists(_library)) Assert.Ignore("artifacts/native holds no library; build it by: dotnet cake --target=Native");
    }

    [TestCase("v3")]
    [TestCase("v4")]
    public void Library_ExportsTheHeaderAndNothingElse_IsSmallAndNeedsLibcOnly(string level)
    {
        string library = _library.Replace("v3", level, StringComparison.Ordinal);
        if (!File.Exists(library)) Assert.Ignore($"{library} was not built");
        Assert.That(new FileInfo(library).Length, Is.LessThan(4_000_000));
        string[] symbols = [.. Run("nm", ["-D", "--defined-only", library]).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ')[^1])];
        Assert.That(symbols, Is.EquivalentTo(Header.Text.Functions.Select(function => function.Name)));
        string[] needed = [.. Regex.Matches(Run("readelf", ["-d", library]), @"NEEDED.*\[(.*)\]").Select(match => match.Groups[1].Value)];
        Assert.That(needed, Is.SubsetOf(["libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"]));
    }

    [Test]
    public void CSample_CompilesWithoutAWarningAndAgreesWithItsReference()
    {
        using TemporaryFolder folder = new();
        string program = CompileC(folder.Path, "streaming");
        string output = Run(program, ["256", "8"]);
        Assert.That(output, Does.Match(@"largest error \d\.\d\de-0[5-9]").And.Match(@"in place [\d.]+ us a step, memmove [\d.]+ us, ratio [\d.]+"));
    }

    [Test]
    public void CSample_UnderValgrind_IsClean()
    {
        Need("valgrind", "--version");
        using TemporaryFolder folder = new();
        string program = CompileC(folder.Path, "streaming");
        Run("valgrind", ["--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite", program, "24", "2"]);
    }

    [Test]
    public void PythonSample_AgreesWithItsReference()
    {
        Need("python3", "--version");
        Assert.That(Run("python3", [Path.Combine(_samples, "streaming.py"), _library]), Does.Match(@"x86-64-v3: 120 tokens through a budget of 24, largest error \d\.\d\de-0[5-9]"));
    }

    [Test]
    public void CppSample_WithTheCMakePackage_BuildsAndGoesOnAlike()
    {
        Need("cmake", "--version");
        Need("c++", "--version");
        using TemporaryFolder folder = new();
        Run("cmake", ["-S", Path.Combine(_samples, "cpp"), "-B", folder.Path, $"-DCMAKE_PREFIX_PATH={_prefix}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror"]);
        Run("cmake", ["--build", folder.Path]);
        Assert.That(Run(Path.Combine(folder.Path, "heavy_hitters"), []), Does.Contain("goes on alike"));
        bool wide = IsaRegistry.IsSupported(Isa.Avx512) && File.Exists(_library.Replace("v3", "v4", StringComparison.Ordinal));
        if (wide || !IsaRegistry.IsSupported(Isa.Avx512)) Assert.That(Run(Path.Combine(folder.Path, "load"), []), Does.Contain(wide ? "x86-64-v4" : "x86-64-v3"));
    }

    [Test]
    public void OverheadSample_SmallestCalls_AgreeWithPlainC()
    {
        using TemporaryFolder folder = new();
        string output = Run(CompileC(folder.Path, "overhead"), ["20000"]);
        Assert.That(Regex.Count(output, @"[\d.]+ ns(, plain C +[\d.]+, over it +-?[\d.]+)?$", RegexOptions.Multiline), Is.AtLeast(18), output);
    }

    [TestCase("2021")]
    [TestCase("2024")]
    public void RustSnippetOfTheReadme_CompilesWithoutAWarningAndRuns(string edition)
    {
        Need("rustc", "--version");
        string readme = File.ReadAllText(Path.Combine(Header.Repository(), "README.md"));
        using TemporaryFolder folder = new();
        string source = Path.Combine(folder.Path, "snippet.rs"), program = Path.Combine(folder.Path, "snippet"), libraries = Path.Combine(_prefix, "lib");
        File.WriteAllText(source, Regex.Match(readme, "^```rust\n(?<code>[^`]*)^```", RegexOptions.Multiline).Groups["code"].Value);
        Run("rustc", ["--edition", edition, "-D", "warnings", "-L", libraries, "-l", "equip_kernels_v3", "-C", $"link-arg=-Wl,-rpath,{libraries}", "-o", program, source]);
        Run(program, []);
    }

    private string CompileC(string folder, string sample)
    {
        Need("cc", "--version");
        Need("pkg-config", "--version");
        string program = Path.Combine(folder, sample);
        string[] flags = Run("pkg-config", ["--cflags", "--libs", Path.Combine(_prefix, "lib", "pkgconfig", "equip_kernels.pc")]).Split(' ', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        Run("cc", ["-O2", "-g", "-Wall", "-Wextra", "-Werror", Path.Combine(_samples, sample + ".c"), "-o", program, .. flags, "-lm"]);
        return program;
    }

    private static void Need(string tool, string argument)
    {
        try
        {
            Run(tool, [argument]);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Ignore($"{tool} is not installed");
        }
    }

    private static string Run(string program, string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, $"{program} {string.Join(' ', arguments)}\n{output}\n{errors.Result}");
        return output;
    }
}
