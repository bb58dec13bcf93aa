using System.Text.Json;
using Equip.Model;

namespace Equip.Tests.Fixtures;

/// <summary>The default model, loaded once, and its golden values by Hugging Face transformers.</summary>
internal static class Golden
{
    private static readonly Lazy<LanguageModel> _model = new(() => LanguageModel.Load(LanguageModel.DefaultDirectory));
    private static readonly Lazy<JsonElement> _root = new(() => JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Fixtures", "golden.json"))).RootElement);

    public static LanguageModel Model => _model.Value;

    public static JsonElement Root => _root.Value;

    public static JsonElement Case(int index) => Root.GetProperty("cases")[index];

    public static int[] Ids(JsonElement element, string name) => [.. element.GetProperty(name).EnumerateArray().Select(id => id.GetInt32())];

    public static float[] Values(JsonElement element, string name) => [.. element.GetProperty(name).EnumerateArray().Select(value => value.GetSingle())];
}
