// dotnet tool restore && dotnet cake --target=Test

// ARGUMENTS

var target = Argument("target", "Default");
var configuration = Argument("configuration", "Release");
var solution = "./Equip.sln";
var artifacts = Directory("./artifacts");

// TASKS

Task("Clean")
    .Description("Deletes build outputs and artifacts.")
    .Does(() =>
{
    CleanDirectory(artifacts);
    DotNetClean(solution, new DotNetCleanSettings { Configuration = configuration });
});

Task("Restore")
    .Description("Restores packages.")
    .Does(() => DotNetRestore(solution));

Task("Build")
    .Description("Builds everything; warnings are errors.")
    .IsDependentOn("Restore")
    .Does(() => DotNetBuild(solution, new DotNetBuildSettings { Configuration = configuration, NoRestore = true }));

Task("Test")
    .Description("Runs every test.")
    .IsDependentOn("Build")
    .Does(() => DotNetTest(solution, new DotNetTestSettings { Configuration = configuration, NoBuild = true }));

Task("Bench")
    .Description("Runs the kernel benchmarks; --filter='*Attention*' chooses.")
    .IsDependentOn("Build")
    .Does(() => DotNetRun("./Equip.Bench", new ProcessArgumentBuilder().Append("kernels").Append("--filter").AppendQuoted(Argument("filter", "*")),
        new DotNetRunSettings { Configuration = configuration, NoBuild = true }));

Task("Pack")
    .Description("Makes the NuGet packages and the tool in artifacts/packages.")
    .IsDependentOn("Build")
    .Does(() =>
{
    foreach (var project in new[] { "Equip.Kernels", "Equip.Model", "Equip.Bench" })
        DotNetPack("./" + project, new DotNetPackSettings { Configuration = configuration, NoBuild = true, OutputDirectory = artifacts + Directory("packages") });
});

Task("Native")
    .Description("The C ABI library: not built yet.")
    .Does(() => throw new CakeException("Native: the C ABI library is not part of this version yet."));

Task("Gpu")
    .Description("The ILGPU kernels: not built yet.")
    .Does(() => throw new CakeException("Gpu: the ILGPU kernels are not part of this version yet."));

Task("Default").IsDependentOn("Test");

// EXECUTION

RunTarget(target);
