using Equip.Kernels.Rope;
using Equip.Model.Config;
using Equip.Tests.Safetensors;

namespace Equip.Tests.Config;

internal sealed class RopeReaderTests
{
    private static readonly RopeOptions _yarn = new() { HeadDim = 64, Theta = 1e6, Type = RopeType.Yarn, Factor = 4, OriginalMaxPositions = 32768 };

    private static IEnumerable<TestCaseData> Ropes()
    {
        yield return Case("None", "{}", new RopeOptions { HeadDim = 64 });
        yield return Case("Theta", """{"rope_theta": 500000}""", new RopeOptions { HeadDim = 64, Theta = 500000 });
        yield return Case("Default", """{"rope_scaling": {"rope_type": "default"}}""", new RopeOptions { HeadDim = 64 });
        yield return Case("Partial", """{"partial_rotary_factor": 0.5}""", new RopeOptions { HeadDim = 64, RotaryDim = 32 });
        yield return Case("LinearOldName", """{"rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 2}}""", new RopeOptions { HeadDim = 64, Type = RopeType.Linear, Factor = 2 });
        yield return Case("RopeTypeBeforeType", """{"rope_scaling": {"type": "dynamic", "rope_type": "linear", "factor": 2.5}}""", new RopeOptions { HeadDim = 64, Type = RopeType.Linear, Factor = 2.5 });
        yield return Case("Yarn", """{"rope_theta": 1000000.0, "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}}""", _yarn);
        yield return Case("YarnAllFields", """
            {"rope_theta": 1000000.0, "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768, "attention_factor": 1.5, "beta_fast": 24,
            "beta_slow": 2, "truncate": false}}
            """, _yarn with { AttentionFactor = 1.5, BetaFast = 24, BetaSlow = 2, Truncate = false });
        yield return Case("YarnOneScaleDoesNotCount", """{"rope_theta": 1e6, "rope_scaling": {"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 32768, "mscale": 1, "mscale_all_dim": 0}}""", _yarn);
        yield return Case("YarnScales", """{"rope_theta": 1e6, "rope_scaling": {"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 32768, "mscale": 1, "mscale_all_dim": 0.5}}""",
            _yarn with { AttentionFactor = ((0.1 * Math.Log(4)) + 1) / ((0.05 * Math.Log(4)) + 1) });
        yield return Case("OriginalDefaultsToMax", """{"rope_theta": 1e6, "rope_scaling": {"rope_type": "yarn", "factor": 4}}""", _yarn with { OriginalMaxPositions = 4096 });
        yield return Case("OriginalOutsideWins", """{"rope_theta": 1e6, "original_max_position_embeddings": 100, "rope_scaling": {"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 32768}}""", _yarn with { OriginalMaxPositions = 100 });
        yield return Case("V5Default", """{"rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}}""", new RopeOptions { HeadDim = 64, Theta = 500000 });
        yield return Case("V5InsideBeforeOutside", """{"rope_theta": 7, "partial_rotary_factor": 1, "rope_parameters": {"rope_theta": 500000.0, "partial_rotary_factor": 0.25}}""", new RopeOptions { HeadDim = 64, Theta = 500000, RotaryDim = 16 });
        yield return Case("V5Llama3", """
            {"rope_parameters": {"rope_theta": 500000, "rope_type": "llama3", "factor": 32, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}}
            """, new RopeOptions { HeadDim = 64, Theta = 500000, Type = RopeType.Llama3, Factor = 32, LowFrequencyFactor = 1, HighFrequencyFactor = 4, OriginalMaxPositions = 8192 });
        yield return Case("V5NestedUniform", """
            {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 9000}, "sliding_attention": {"rope_theta": 9000, "rope_type": "default"}}}
            """, new RopeOptions { HeadDim = 64, Theta = 9000 });
        yield return Case("V5Empty", """{"rope_parameters": {}, "rope_theta": 9000}""", new RopeOptions { HeadDim = 64, Theta = 9000 });
    }

    [TestCaseSource(nameof(Ropes))]
    public void Read_Rope_GivesOptions(string json, RopeOptions expected)
    {
        using TemporaryFolder folder = new();
        Assert.That(RopeReader.Read(JsonFile.ReadObject(folder.Write("config.json", json)), 64, 4096), Is.EqualTo(expected));
    }

    private static TestCaseData Case(string name, string json, RopeOptions expected) => new TestCaseData(json, expected).SetArgDisplayNames(name);
}
