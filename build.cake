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
    .Description("Makes the C library in artifacts/native/<rid>: --level=v3,v4 chooses.")
    .Does(() =>
{
    var interop = Directory("./Equip.Kernels/Interop");
    var project = interop + Directory("Native") + File("Equip.Native.csproj");
    var prefix = artifacts + Directory("native") + Directory("linux-x64");
    CleanDirectory(prefix);
    foreach (var folder in new[] { "include", "src", "lib", "lib/pkgconfig", "lib/cmake/equip_kernels" }) EnsureDirectoryExists(prefix + Directory(folder));
    foreach (var level in Argument("level", "v3,v4").Split(','))
    {
        var output = MakeAbsolute(artifacts + Directory("native/publish-" + level));
        DotNetPublish(project, new DotNetPublishSettings
        {
            Configuration = configuration,
            OutputDirectory = output,
            MSBuildSettings = new DotNetMSBuildSettings().WithProperty("EquipLevel", level),
        });
        CopyFile(output.CombineWithFilePath("Equip.Native.so"), prefix + File("lib/libequip_kernels_" + level + ".so"));
        DeleteDirectory(output, new DeleteDirectorySettings { Recursive = true });
    }

    CopyFileToDirectory(interop + File("equip_kernels.h"), prefix + Directory("include"));
    CopyFileToDirectory(interop + File("package/equip_loader.h"), prefix + Directory("include"));
    CopyFileToDirectory(interop + File("package/equip_loader.c"), prefix + Directory("src"));
    var version = XmlPeek("./Directory.Build.props", "//Version");
    void Fill(string template, string file) =>
        System.IO.File.WriteAllText(MakeAbsolute(prefix + File(file)).FullPath, System.IO.File.ReadAllText(MakeAbsolute(interop + File(template)).FullPath).Replace("@VERSION@", version));
    Fill("package/equip_kernels.pc.in", "lib/pkgconfig/equip_kernels.pc");
    Fill("package/equip_kernels-config.cmake", "lib/cmake/equip_kernels/equip_kernels-config.cmake");
    Fill("package/equip_kernels-config-version.cmake.in", "lib/cmake/equip_kernels/equip_kernels-config-version.cmake");
});

Task("Gpu")
    .Description("The ILGPU kernels: not built yet.")
    .Does(() => throw new CakeException("Gpu: the ILGPU kernels are not part of this version yet."));

Task("Default").IsDependentOn("Test");

// EXECUTION

RunTarget(target);
