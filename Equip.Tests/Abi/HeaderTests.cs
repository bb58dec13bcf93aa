using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.Interop;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;

namespace Equip.Tests.Abi;

public sealed class HeaderTests
{
    private static readonly Dictionary<string, Type> _structs = new[]
    {
        typeof(EquipContextOptions), typeof(EquipRopeOptions), typeof(EquipAttentionShape), typeof(EquipAttentionRun), typeof(EquipPrefillKeys),
        typeof(EquipMatrix), typeof(EquipPolicyOptions), typeof(EquipPolicyInfo), typeof(EquipPrompt), typeof(EquipCacheOptions),
    }.ToDictionary(type => Snake(type.Name));

    [Test]
    public void Functions_OfTheHeader_AreTheExports()
        => Assert.That(Header.Text.Functions.Select(function => function.Name), Is.EquivalentTo(Abi.Exports().Select(export => export.Name)));

    [Test]
    public void Parameters_OfTheHeader_AreThoseOfTheExports()
    {
        foreach ((string name, MethodInfo method) in Abi.Exports())
        {
            Header.Function function = Header.Text.Functions.Single(function => function.Name == name);
            Assert.That(method.GetParameters().Select(parameter => Snake(parameter.Name!)), Is.EqualTo(function.Parameters.Select(parameter => parameter.Name)), name);
            Assert.That(method.GetParameters().Select(parameter => CType(parameter.ParameterType)), Is.EqualTo(function.Parameters.Select(Plain)), name);
            Assert.That(CType(method.ReturnType), Is.EqualTo(function.Result.Replace("const ", string.Empty, StringComparison.Ordinal)), name);
        }
    }

    [Test]
    public void Structs_OfTheHeader_HaveTheSameFieldsSizesAndOffsets()
    {
        Assert.That(Header.Text.Structs.Select(layout => layout.Name), Is.EquivalentTo(_structs.Keys));
        foreach (Header.Struct layout in Header.Text.Structs)
        {
            Type type = _structs[layout.Name];
            Assert.That(Marshal.SizeOf(type), Is.EqualTo(layout.Size), layout.Name);
            Assert.That(
                type.GetFields().Select(field => (Snake(field.Name), (int)Marshal.OffsetOf(type, field.Name), field.FieldType.IsPointer ? 8 : Marshal.SizeOf(field.FieldType))),
                Is.EqualTo(layout.Fields),
                layout.Name);
        }
    }

    [Test]
    public void Enumerations_OfTheHeader_HaveTheValuesOfTheLibrary()
    {
        Same<EquipStatus>("EQUIP_STATUS_");
        Same<DataType>("EQUIP_TYPE_");
        Same<Isa>("EQUIP_ISA_");
        Same<RopeType>("EQUIP_ROPE_");
        Assert.That(Header.Text.Values["EQUIP_ROPE_HALF_SPLIT"], Is.EqualTo((int)RopeLayout.HalfSplit));
        Assert.That(Header.Text.Values["EQUIP_ROPE_INTERLEAVED"], Is.EqualTo((int)RopeLayout.Interleaved));

        // Documented as numbers.
        Assert.That(Enum.GetNames<PoolMode>(), Is.EqualTo(["Policy", "Average", "Max"]));
        Assert.That(Enum.GetNames<Allocation>(), Is.EqualTo(["Policy", "Head", "Layer", "Model", "ModelRaw"]));
        Assert.That(Enum.GetNames<DecodeTail>(), Is.EqualTo(["Policy", "Grow", "Streaming", "H2O", "Pages"]));
    }

    [Test]
    public void Versions_AreThoseOfTheHeaderAndTheProject()
    {
        string header = File.ReadAllText(Path.Combine(Header.Folder, "equip_kernels.h"));
        Assert.That(Regex.Match(header, @"#define EQUIP_ABI_VERSION (\d+)").Groups[1].Value, Is.EqualTo(((int)Abi.Call("equip_abi_version")).ToString(System.Globalization.CultureInfo.InvariantCulture)));
        Assert.That(File.ReadAllText(Path.Combine(Header.Repository(), "Directory.Build.props")), Does.Contain($"<Version>{Abi.Text("equip_version")}</Version>"));
        Assert.That(Abi.Text("equip_level"), Is.EqualTo("jit"));
    }

    [Test]
    public void Loader_ListsEveryFunction()
    {
        string loader = File.ReadAllText(Path.Combine(Header.Folder, "package", "equip_loader.h"));
        Assert.That(Regex.Matches(loader, @"X\((equip_\w+)\)").Select(match => match.Groups[1].Value), Is.EqualTo(Header.Text.Functions.Select(function => function.Name)));
    }

    [Test]
    public void Names_OfStatusesAndPolicies_EndWithNull()
    {
        Assert.That(Abi.Text("equip_status_name", 0), Is.EqualTo("ok"));
        Assert.That(Abi.Text("equip_status_name", (int)EquipStatus.Internal), Is.EqualTo("internal error"));
        Assert.That(Abi.Text("equip_status_name", (int)EquipStatus.Internal + 1), Is.Null);
        Assert.That(Abi.Text("equip_status_name", -1), Is.Null);
        Assert.That(Enumerable.Range(0, (int)Abi.Call("equip_policy_count")).Select(index => Abi.Text("equip_policy_name", index)), Is.EqualTo(EvictionPolicies.Names));
        Assert.That(Abi.Text("equip_policy_name", EvictionPolicies.Names.Count), Is.Null);
        foreach (Isa isa in IsaRegistry.All) Assert.That((int)Abi.Call("equip_isa_supported", (nint)isa), Is.EqualTo(IsaRegistry.IsSupported(isa) ? 1 : 0));
        Assert.That((int)Abi.Call("equip_isa_supported", 99), Is.Zero);
    }

    private static void Same<T>(string prefix)
        where T : struct, Enum
    {
        foreach (T value in Enum.GetValues<T>())
        {
            string name = prefix + Snake(value.ToString()).ToUpperInvariant();
            Assert.That(Header.Text.Values, Does.ContainKey(name).WithValue(Convert.ToInt32(value, System.Globalization.CultureInfo.InvariantCulture)), name);
        }
    }

    /// <summary>StructSize, structSize -> struct_size.</summary>
    private static string Snake(string name) => Regex.Replace(name, "(?<=[a-z0-9])(?=[A-Z])", "_").ToLowerInvariant();

    /// <summary>A parameter's type in C without const; handles are plain words to C#.</summary>
    private static string Plain(Header.Parameter parameter)
        => parameter.IsHandle ? "handle" : parameter.Type.EndsWith("**", StringComparison.Ordinal) ? "handle *" : parameter.Type.Replace("const ", string.Empty, StringComparison.Ordinal);

    private static string CType(Type type)
    {
        if (type.IsPointer) return CType(type.GetElementType()!) + " *";
        if (type == typeof(nint)) return "handle";
        if (type == typeof(byte)) return "char";
        if (type == typeof(void)) return "void";
        if (type == typeof(int)) return "int32_t";
        if (type == typeof(uint)) return "uint32_t";
        if (type == typeof(long)) return "int64_t";
        if (type == typeof(float)) return "float";
        return Snake(type.Name);
    }
}
