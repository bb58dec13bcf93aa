using System.Text.RegularExpressions;

namespace Equip.Tests.Abi;

/// <summary>equip_kernels.h as a test sees it: functions, structs with the offsets that C gives their fields, and enumeration values.</summary>
internal sealed partial class Header
{
    private Header(string text)
    {
        string code = Directives().Replace(Comments().Replace(text, " "), " ").Replace("extern \"C\" {", " ", StringComparison.Ordinal);
        foreach (Match match in StructDefinitions().Matches(code)) Structs.Add(new Struct(match.Groups[2].Value, match.Groups[1].Value));
        foreach (Match match in Enumerations().Matches(code))
        {
            foreach (string value in match.Groups[1].Value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            {
                string[] sides = value.Split('=', StringSplitOptions.TrimEntries);
                Values[sides[0]] = int.Parse(sides[1], System.Globalization.CultureInfo.InvariantCulture);
            }
        }

        string rest = Enumerations().Replace(StructDefinitions().Replace(code, " "), " ");
        foreach (Match match in Declarations().Matches(rest)) Functions.Add(new Function(match.Groups[2].Value, match.Groups[1].Value.Trim(), match.Groups[3].Value));
    }

    public static string Folder { get; } = Path.Combine(Repository(), "Equip.Kernels", "Interop");

    public static Header Text { get; } = new(File.ReadAllText(Path.Combine(Folder, "equip_kernels.h")));

    public List<Function> Functions { get; } = [];

    public List<Struct> Structs { get; } = [];

    public Dictionary<string, int> Values { get; } = [];

    public static string Repository()
    {
        string? folder = TestContext.CurrentContext.TestDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "Equip.sln"))) folder = Path.GetDirectoryName(folder);
        return folder ?? throw new InvalidOperationException("the tests do not run inside the repository");
    }

    [GeneratedRegex(@"/\*.*?\*/", RegexOptions.Singleline)]
    private static partial Regex Comments();

    [GeneratedRegex(@"^\s*#.*$", RegexOptions.Multiline)]
    private static partial Regex Directives();

    [GeneratedRegex(@"typedef struct \w+ \{(.*?)\} (\w+);", RegexOptions.Singleline)]
    private static partial Regex StructDefinitions();

    [GeneratedRegex(@"enum \{(.*?)\};", RegexOptions.Singleline)]
    private static partial Regex Enumerations();

    [GeneratedRegex(@"([\w \*]+?)\b(equip_\w+)\(([^)]*)\);", RegexOptions.Singleline)]
    private static partial Regex Declarations();

    internal sealed class Function(string name, string result, string parameters)
    {
        public string Name { get; } = name;

        public string Result { get; } = result;

        public Parameter[] Parameters { get; } = parameters.Trim() == "void" ? [] : [.. parameters.Split(',').Select(text => new Parameter(text))];

        public override string ToString() => Name;
    }

    internal sealed class Parameter
    {
        private static readonly string[] _handles = ["equip_context", "equip_rope", "equip_policy", "equip_cache"];

        public Parameter(string text)
        {
            text = Regex.Replace(text, @"\s+", " ").Trim();
            Name = Regex.Match(text, @"\w+$").Value;
            Type = text[..^Name.Length].Trim();
        }

        public string Name { get; }

        public string Type { get; }

        public bool IsPointer => Type.Contains('*', StringComparison.Ordinal) && !IsHandle;

        public bool IsHandle => _handles.Any(handle => Type == handle + " *");

        public bool IsStruct => IsPointer && Type.Contains("equip_", StringComparison.Ordinal) && !Type.EndsWith("**", StringComparison.Ordinal) && !IsHandle;

        public bool IsWritten => IsPointer && !Type.StartsWith("const", StringComparison.Ordinal);
    }

    internal sealed class Struct
    {
        public Struct(string name, string body)
        {
            Name = name;
            int end = 0, alignment = 1;
            foreach (string line in body.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            {
                string field = Regex.Match(line, @"\w+$").Value;
                int size = line.Contains('*', StringComparison.Ordinal) || line.StartsWith("int64", StringComparison.Ordinal) || line.StartsWith("double", StringComparison.Ordinal) ? 8 : 4;
                end = (end + size - 1) / size * size;
                Fields.Add((field, end, size));
                end += size;
                alignment = Math.Max(alignment, size);
            }

            Size = (end + alignment - 1) / alignment * alignment;
        }

        public string Name { get; }

        public int Size { get; }

        public List<(string Name, int Offset, int Size)> Fields { get; } = [];
    }
}
