using Equip.Kernels.Eviction;

namespace Equip.Tests.Eviction;

internal sealed class StreamedTopKTests
{
    [Test]
    public void Add_RandomScoresWithTies_EqualsOneChoiceOverAll([Values(1, 7, 60, 400)] int kept, [Values(1, 3, 1000)] int levels, [Values] bool withNaN)
    {
        const int Layers = 6, Heads = 3, Rows = 20;
        Random random = new(kept + levels);
        float[] all = new float[Layers * Heads * Rows];
        for (int i = 0; i < all.Length; i++) all[i] = withNaN && random.Next(4) == 0 ? float.NaN : random.Next(levels);
        StreamedTopK streamed = new();
        List<List<int>> caches = [];
        for (int layer = 0; layer < Layers; layer++)
        {
            List<(int Group, int[] Stay)> survivors = [];
            streamed.Add(all.AsSpan(layer * Heads * Rows, Heads * Rows), Rows, kept, survivors);
            foreach ((int group, int[] stay) in survivors) caches[group] = [.. stay.Select(slot => caches[group][slot])];
            for (int head = 0; head < Heads; head++) caches.Add([.. streamed.Rows(streamed.Groups - Heads + head)]);
            Assert.That(caches.Sum(rows => rows.Count), Is.EqualTo(Math.Min(kept, caches.Count * Rows)));
        }

        HashSet<int> naive = [.. Enumerable.Range(0, all.Length).OrderByDescending(i => float.IsNaN(all[i]) ? float.NegativeInfinity : all[i]).ThenBy(i => i).Take(kept)];
        for (int group = 0; group < Layers * Heads; group++)
        {
            int[] expected = [.. Enumerable.Range(0, Rows).Where(row => naive.Contains((group * Rows) + row))];
            Assert.That(streamed.Rows(group).ToArray(), Is.EqualTo(expected), $"group {group}");
            Assert.That(caches[group], Is.EqualTo(expected), $"cache of group {group}");
        }
    }
}
