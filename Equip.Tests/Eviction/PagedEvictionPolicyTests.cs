using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;

namespace Equip.Tests.Eviction;

/// <summary>Decode steps of PagedEviction over tokens whose scores are given: four pages of four tokens, two KV heads.</summary>
internal sealed unsafe class PagedEvictionPolicyTests
{
    private const int Page = 4, Budget = 16, HeadDim = 16;

    [TestCase(new[] { 0.1f, 5, 2, 0.1f }, 2, TestName = "ChooseSlots_FullBudget_LowestPageGoes_FirstAndNewestStay")]
    [TestCase(new[] { 9f, 1, 1, 1 }, 2, TestName = "ChooseSlots_EqualPages_TheYoungerGoes")]
    [TestCase(new[] { 9f, float.NaN, -1, 9 }, 1, TestName = "ChooseSlots_NaN_IsLowest")]
    [TestCase(new[] { 9f, 0, 3, 9 }, 1, TestName = "ChooseSlots_ZeroValues_AreLowest")]
    public void Evicts(float[] pages, int expected)
    {
        using PagePool pool = new(Page, HeadDim, DataType.F32);
        HeadCache[] heads = [new(pool), new(pool)];
        IEvictionPolicy policy = Policy();
        for (int token = 0; token < Budget; token++) Insert(policy, heads, token, Math.Abs(pages[token / Page]), float.IsNegative(pages[token / Page]) ? 2 : 1);
        nint memory = (nint)heads[1].Key(expected * Page);
        Assert.That(Insert(policy, heads, Budget, 1), Is.EqualTo(expected * Page), "the page that goes is the next one written");
        Assert.That((nint)heads[1].Key(expected * Page), Is.EqualTo(memory));
        foreach (HeadCache head in heads)
        {
            Assert.That(head.Count, Is.EqualTo(Budget - Page + 1));
            for (int page = 0; page < 4; page++) Assert.That(head.LiveInPage(page), Is.EqualTo(page == expected ? 1 : Page));
            Assert.That(head.Positions[expected * Page], Is.EqualTo(Budget));
        }

        Assert.That(pool.RentedBytes, Is.EqualTo(2 * 4 * pool.PageBytes));
    }

    [Test]
    public void ChooseSlots_ManyTokens_EqualsAListOfPages()
    {
        using PagePool pool = new(Page, HeadDim, DataType.F32);
        HeadCache[] heads = [new(pool), new(pool)];
        IEvictionPolicy policy = Policy();
        Random random = new(5);
        List<(int First, double Score)> pages = [];
        double sum = 0;
        for (int token = 0; token < 40 * Page; token++)
        {
            // The newest page has no entry yet: it is not a candidate.
            if (token % Page == 0 && pages.Count == Budget / Page) pages.Remove(pages.Skip(1).SkipLast(1).MinBy(page => page.Score));
            float score = random.NextSingle();
            sum += score;
            Insert(policy, heads, token, score);
            if (token % Page == Page - 1)
            {
                pages.Add((token - Page + 1, sum));
                sum = 0;
            }

            int[] expected = [.. pages.SelectMany(page => Enumerable.Range(page.First, Page)), .. Enumerable.Range(token / Page * Page, (token + 1) % Page)];
            Assert.That(Live(heads[0]), Is.EqualTo(expected), $"after token {token}");
            Assert.That(Live(heads[1]), Is.EqualTo(expected));
            Assert.That(heads[0].Count, Is.InRange(Math.Min(token + 1, Budget - Page + 1), Budget));
        }
    }

    [Test]
    public void ChooseSlots_HeadsOfDifferentNorms_TheRatioOfTheSumsDecides()
    {
        // Alone, head 0 would drop page 1 and head 1 page 2; head 1's larger norms weigh more.
        using PagePool pool = new(Page, HeadDim, DataType.F32);
        HeadCache[] heads = [new(pool), new(pool)];
        IEvictionPolicy policy = Policy();
        float[] first = [1, 1, 4, 1], second = [1, 4, 1, 1];
        for (int token = 0; token < Budget; token++)
        {
            int[] slots = new int[2];
            policy.ChooseSlots(heads, token, slots);
            Write(heads[0], slots[0], token, first[token / Page], 1);
            Write(heads[1], slots[1], token, 10 * second[token / Page], 10);
        }

        int[] victims = new int[2];
        policy.ChooseSlots(heads, Budget, victims);
        Assert.That(victims, Is.EqualTo((int[])[2 * Page, 2 * Page]));
    }

    [TestCase(8, 4, "budget")]
    [TestCase(64, -1, "page")]
    public void Constructor_WrongParameter_NamesTheRange(int budget, int page, string problem)
        => Assert.That(() => EvictionPolicies.Create("pagedeviction", new PolicyOptions { BudgetTokens = budget, PageTokens = page }), Throws.InstanceOf<ArgumentException>().With.Message.Contains(problem));

    [Test]
    public void Create_PagesForAnotherPolicy_IsRefused()
        => Assert.That(() => EvictionPolicies.Create("snapkv", new PolicyOptions { Then = DecodeTail.Pages }), Throws.ArgumentException.With.Message.Contains("then: got pages"));

    private static IEvictionPolicy Policy() => EvictionPolicies.Create("pagedeviction", new PolicyOptions { BudgetTokens = Budget, PageTokens = Page });

    private static int Insert(IEvictionPolicy policy, HeadCache[] heads, int token, float value, float key = 1)
    {
        int[] slots = new int[heads.Length];
        policy.ChooseSlots(heads, token, slots);
        for (int head = 0; head < heads.Length; head++) Write(heads[head], slots[head], token, value, key);
        return slots[0];
    }

    private static void Write(HeadCache head, int slot, int token, float value, float key)
    {
        float[] k = new float[HeadDim], v = new float[HeadDim];
        (k[token % HeadDim], v[(token + 3) % HeadDim]) = (-key, value);
        head.Write(Isa.Scalar, slot, k, v, token, token);
    }

    private static int[] Live(HeadCache head)
    {
        List<int> live = [];
        for (int page = 0; page < head.PageCount; page++)
            for (int row = 0; row < head.LiveInPage(page); row++) live.Add(head.Positions[(page * Page) + row]);
        return [.. live.Order()];
    }
}
