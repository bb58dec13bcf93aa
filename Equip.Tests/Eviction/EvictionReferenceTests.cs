using System.Globalization;
using System.Text.Json;
using Equip.Kernels.Eviction;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Eviction;

/// <summary>Kept rows and scores of one prompt against values computed independently of this library.</summary>
internal sealed class EvictionReferenceTests
{
    private const double Tolerance = 3e-4;

    private static readonly JsonElement _reference = JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Fixtures", "eviction.json"))).RootElement;

    // The pooling that the papers' codes default to.
    private static readonly CacheOptions _average7 = new() { PoolKernel = 7, PoolMode = PoolMode.Average };

    private static readonly object[][] _rows =
    [
        ["laprox", _average7 with { Policy = "laprox" }],
        ["laprox reading:prod", _average7 with { Policy = "laprox", Reading = ScoreReading.Product }],
        ["snapkv avg7", _average7 with { Policy = "snapkv" }],
        ["pyramidkv avg7 exact", _average7 with { Policy = "pyramidkv" }],
        ["adakv avg7 safeguard", _average7 with { Policy = "adakv" }],
        ["criticalkv avg7 eps-on-mean", _average7 with { Policy = "criticalkv" }],
        ["critical-adakv avg7", _average7 with { Policy = "critical-adakv" }],
        ["tova -", new CacheOptions { Policy = "tova" }],
        ["pagedeviction ratio_of_means", new CacheOptions { Policy = "pagedeviction" }],
        ["keydiff pure", new CacheOptions { Policy = "keydiff" }],
        ["expected pure", new CacheOptions { Policy = "expected" }],
    ];

    [TestCaseSource(nameof(_rows))]
    public void Prefill_FirstPasskeyCase_KeepsTheReferenceRows(string name, CacheOptions options)
    {
        int[][] kept = PromptFixture.Kept(options with { Budget = 128 }, PromptFixture.Passkey.Prompt);
        Assert.That(kept, Is.EqualTo(Reference(name)));
        Assert.That(kept.Sum(rows => rows.Length), Is.EqualTo(128 * kept.Length));
    }

    [Test]
    public void Prefill_Knorm_DiffersOnlyWhereEqualTokensTie()
    {
        // Keys of layer 0 depend on the token alone and rotation keeps their norm: equal tokens tie, and rounding decides.
        int[][] kept = PromptFixture.Kept(new CacheOptions { Policy = "knorm", Budget = 128 }, PromptFixture.Passkey.Prompt), expected = Reference("knorm pure");
        Assert.That(kept[2..], Is.EqualTo(expected[2..]));
        int[] tokens = PromptFixture.Passkey.Prompt;
        for (int head = 0; head < 2; head++)
            Assert.That(kept[head].Select(row => tokens[row]).Order(), Is.EqualTo(expected[head].Select(row => tokens[row]).Order()));
    }

    [TestCase("snapkv_avg", "snapkv", PoolMode.Average)]
    [TestCase("snapkv_max", "snapkv", PoolMode.Max)]
    [TestCase("h2o", "h2o", PoolMode.Policy)]
    public void Prefill_GoldenCase2_KeepsTheReferenceRows(string name, string policy, PoolMode pool)
    {
        int[][] expected = [.. Golden.Root.GetProperty("kept_indices_budget128_on_case2").GetProperty(name).EnumerateArray()
            .SelectMany(layer => layer.EnumerateArray()).Select(head => head.EnumerateArray().Select(row => row.GetInt32()).ToArray())];
        int[][] kept = PromptFixture.Kept(new CacheOptions { Policy = policy, Budget = 128, PoolKernel = 7, PoolMode = pool }, Golden.Ids(Golden.Case(2), "input_ids"));
        Assert.That(kept, Is.EqualTo(expected));
    }

    [Test]
    public void LaProx_FirstPasskeyCase_ScoresEqualTheReference()
    {
        const int Candidates = 1800 - 32;
        LaProxPolicy policy = new(new PolicyOptions { BudgetTokens = 128, PoolKernel = 7, PoolMode = PoolMode.Average });
        PromptFixture.Look(PromptFixture.Passkey.Prompt, prompt =>
        {
            float[] pooled = policy.Score(prompt, 0, Candidates);
            double sum = Numbers(_reference.GetProperty("laprox").GetProperty("layer_sums"))[prompt.Layer];
            Assert.That(pooled.Sum(score => (double)score), Is.EqualTo(sum).Within(1e-5 * sum));
            if (prompt.Layer == 4) AssertFirst(pooled, Candidates, Laprox("layer4_head1_first5", "pooled"));
            if (prompt.Layer != 0) return;
            AssertFirst(pooled, 0, Laprox("layer0_head0_first5", "pooled"));
            AssertFirst(Recipe(prompt, GroupReduction.MeanAttention, ValueTerm.None), 0, Laprox("layer0_head0_first5", "A_L2"));
            AssertFirst(Recipe(prompt, GroupReduction.MeanAttention, ValueTerm.JointOutput2), 0, Laprox("layer0_head0_first5", "product"));
            AssertFirst(Recipe(prompt, GroupReduction.Sum, ValueTerm.Output2), 0, Laprox("layer0_head0_first5", "sum_of_head_products"));
            AssertFirst(Recipe(prompt, GroupReduction.Exact, ValueTerm.Output2), 0, Laprox("layer0_head0_first5", "exact"));
        });

        static float[] Recipe(PromptLayer prompt, GroupReduction group, ValueTerm term) => WindowRecipes.Score(prompt, new(ColumnReduction.L2, group, term), 32, 0, Candidates);

        static double[] Laprox(string part, string name) => Numbers(_reference.GetProperty("laprox").GetProperty(part).GetProperty(name));
    }

    [Test]
    public void Scores_FirstPasskeyCase_EqualTheReference()
    {
        PolicyOptions options = new() { BudgetTokens = 128 };
        PromptFixture.Look(PromptFixture.Passkey.Prompt, prompt =>
        {
            if (prompt.Layer != 0) return;
            AssertFirst(WindowRecipes.Score(prompt, ScoreRecipe.AttentionSum, 32, 0, prompt.Rows), 0, Scores("sum"));
            AssertFirst(WindowRecipes.MeanOfHeads(prompt, ValueTerm.Output1, prompt.WidenValues(0, 0, 5), 5, 0), 0, Scores("VW1"));
            AssertFirst(prompt.ColumnSums.ToArray(), 0, Scores("col"));
            float[] last = prompt.WindowProbabilities(1);
            AssertFirst([.. Enumerable.Range(0, 5).Select(row => Enumerable.Range(0, 4).Average(head => last[(head * prompt.Rows) + row]))], 0, Scores("last"));
            AssertFirst(new KeyDiffPolicy(options).Score(prompt, 0, prompt.Rows), 0, Scores("keydiff"));
            AssertFirst(new KnormPolicy(options).Score(prompt, 0, prompt.Rows), 0, Scores("knorm"));
            AssertFirst(new PagedEvictionPolicy(options).Score(prompt, 0, prompt.Rows), 0, Scores("pe_ratio_of_means"));
        });
        PromptFixture.Look(
            PromptFixture.Passkey.Prompt,
            prompt =>
            {
                if (prompt.Layer != 0) return;
                AssertFirst(new ExpectedAttentionPolicy(options).Score(prompt, 4, prompt.Rows - 4), 0, Scores("expected[4:9]"));
                AssertFirst(ExpectedAttentionPolicy.Statistics(prompt, 0).Mean, 0, Scores("mean_query_preRoPE_head0_first5"));
            },
            unrotated: true);

        static double[] Scores(string name) => Numbers(_reference.GetProperty("scores_layer0_kvhead0_first5").GetProperty(name));
    }

    private static void AssertFirst(float[] actual, int offset, double[] expected)
        => TestData.AssertClose(actual.AsSpan(offset, expected.Length), expected, 0, Tolerance);

    private static double[] Numbers(JsonElement array) => [.. array.EnumerateArray().Select(number => number.GetDouble())];

    /// <summary>Kept rows, written as ranges, by layer and head.</summary>
    private static int[][] Reference(string name) =>
        [.. _reference.GetProperty("kept").GetProperty(name).EnumerateArray().SelectMany(Heads).Select(text => text.Split(' ').SelectMany(Range).ToArray())];

    /// <summary>A layer's list of heads, or its one list that all heads share.</summary>
    private static string[] Heads(JsonElement layer) => [.. layer.EnumerateArray().Select(head => head.GetString()!)];

    private static IEnumerable<int> Range(string text)
    {
        int[] ends = [.. text.Split('-').Select(end => int.Parse(end, CultureInfo.InvariantCulture))];
        return Enumerable.Range(ends[0], ends[^1] - ends[0] + 1);
    }
}
