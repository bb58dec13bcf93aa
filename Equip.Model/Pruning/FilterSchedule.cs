using Equip.Model.Config;

namespace Equip.Model.Pruning;

/// <summary>
/// How a filter ratio is shared out over layers: tiers of layers are filled one after the other, each up to <see cref="MaxRate"/> a
/// layer, and inside a tier in proportion to weights. Uniform is one tier of equal weights; tail-focused (the paper's word) one tier
/// whose weights grow linearly from 0 in the first layer [GUESS]; sensitivity-ordered tiers are measured (<c>equip eval sensitivity</c>),
/// the layers that lose least first.
/// </summary>
public sealed class FilterSchedule
{
    /// <summary>The largest share of tokens that one layer filters.</summary>
    public const double MaxRate = 0.95;

    /// <summary>The file of a model folder that holds its measured schedule.</summary>
    public const string FileName = "filter-schedule.json";

    // [GUESS] A tier's layers lose less than this share of what the most sensitive layer loses.
    private static readonly double[] _tierEnds = [0.1, 0.5, double.PositiveInfinity];

    private readonly Func<int, (int Layer, double Weight)[][]> _tiers;
    private readonly int _largestLayer;

    private FilterSchedule(string name, Func<int, (int Layer, double Weight)[][]> tiers, int largestLayer = -1)
    {
        Name = name;
        _tiers = tiers;
        _largestLayer = largestLayer;
    }

    /// <summary>The same rate in every layer.</summary>
    public static FilterSchedule Uniform { get; } = new("uniform", layers => [[.. Weigh(layers, _ => 1)]]);

    /// <summary>Rates in proportion to the layer's index.</summary>
    public static FilterSchedule Tail { get; } = new("tail", layers => [[.. Weigh(layers, layer => layer)]]);

    /// <summary>The last half of the layers only: a mean ratio above half of <see cref="MaxRate"/> is not reached.</summary>
    public static FilterSchedule TailHalf { get; } = new("tail-half", layers => [[.. Weigh(layers, layer => layer >= layers / 2 ? 1 : 0)]]);

    /// <summary>Its name, or the file it came from.</summary>
    public string Name { get; }

    /// <summary>One layer only, at a rate of the mean ratio times the number of layers.</summary>
    public static FilterSchedule Only(int layer) => new($"only{layer}", _ => [[(layer, 1)]], layer);

    /// <summary>Tiers of equal weights, filled in this order; layers that no tier names come last.</summary>
    /// <exception cref="ArgumentException">A layer is negative or named twice.</exception>
    public static FilterSchedule Tiered(string name, IReadOnlyList<int[]> tiers)
    {
        ArgumentNullException.ThrowIfNull(tiers);
        int[] named = [.. tiers.SelectMany(tier => tier)];
        foreach (int layer in named)
        {
            if (layer < 0) throw new ArgumentException($"tiers: got layer {layer}, expected 0 or more", nameof(tiers));
            if (named.Count(other => other == layer) > 1) throw new ArgumentException($"tiers: layer {layer} is named twice", nameof(tiers));
        }

        return new FilterSchedule(
            name,
            layers => [.. tiers.Select(tier => tier.Select(layer => (layer, 1.0)).ToArray()), [.. Weigh(layers, layer => named.Contains(layer) ? 0 : 1)]],
            named.Length == 0 ? -1 : named.Max());
    }

    /// <summary>Reads a file as <see cref="Json"/> writes it: <c>{"tiers": [[1, 2], [0, 3]]}</c>.</summary>
    /// <param name="file">The file.</param>
    /// <param name="name">What the schedule is called; null for the file's name.</param>
    /// <exception cref="ModelFormatException">The file is missing or breaks the format.</exception>
    public static FilterSchedule Load(string file, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(file);
        JsonFields fields = JsonFile.ReadObject(file);
        int[][] tiers = fields.ListsOfInts("tiers", 0, ConfigReader.MaxLayers - 1);
        try
        {
            return Tiered(name ?? Path.GetFileName(file), tiers);
        }
        catch (ArgumentException problem)
        {
            throw new ModelFormatException(file, "tiers", problem.Message.Split(Environment.NewLine)[0], problem);
        }
    }

    /// <summary>Layers in tiers by what filtering them alone costs, in nats per token: up to 10 %, up to 50 % and more of the largest.</summary>
    /// <param name="name">What the schedule is called.</param>
    /// <param name="damage"><c>[layers]</c>; losses below 0 count as 0.</param>
    public static int[][] TiersOf(string name, ReadOnlySpan<double> damage)
    {
        double[] losses = [.. damage.ToArray().Select(loss => Math.Max(0, loss))];
        if (losses.Length == 0 || losses.Any(double.IsNaN)) throw new ArgumentException($"{name}: got {losses.Length} losses, expected one number a layer", nameof(damage));
        double most = losses.Max();
        int[] order = [.. Enumerable.Range(0, losses.Length).OrderBy(layer => losses[layer])];
        return [.. order.GroupBy(layer => Array.FindIndex(_tierEnds, end => losses[layer] <= end * most)).Select(tier => tier.ToArray())];
    }

    /// <summary>The text of a schedule file.</summary>
    public static string Json(IReadOnlyList<int[]> tiers)
    {
        ArgumentNullException.ThrowIfNull(tiers);
        return $"{{\"tiers\": [{string.Join(", ", tiers.Select(tier => $"[{string.Join(", ", tier)}]"))}]}}\n";
    }

    /// <summary>The rates of a model's layers.</summary>
    /// <param name="layers">Layers of the model.</param>
    /// <param name="ratio">Mean rate wanted.</param>
    /// <exception cref="ArgumentException">The schedule names a layer that the model has not.</exception>
    public double[] Rates(int layers, double ratio)
    {
        if (_largestLayer >= layers) throw new ArgumentException($"filter schedule {Name}: got layer {_largestLayer}, expected 0 to {layers - 1}", nameof(layers));
        double[] rates = new double[layers];
        double left = ratio * layers;
        foreach ((int Layer, double Weight)[] tier in _tiers(layers)) left -= Fill(rates, tier, left);
        return rates;
    }

    /// <summary>Shares an amount out by weight; what a layer cannot take goes to the others. Returns what was taken.</summary>
    private static double Fill(double[] rates, (int Layer, double Weight)[] tier, double amount)
    {
        double taken = 0;
        List<(int Layer, double Weight)> open = [.. tier.Where(entry => entry.Weight > 0)];
        while (open.Count > 0 && amount - taken > 1e-12)
        {
            double share = (amount - taken) / open.Sum(entry => entry.Weight);
            foreach ((int layer, double weight) in open)
            {
                double more = Math.Min(share * weight, MaxRate - rates[layer]);
                rates[layer] += more;
                taken += more;
            }

            open.RemoveAll(entry => rates[entry.Layer] >= MaxRate);
        }

        return taken;
    }

    private static IEnumerable<(int Layer, double Weight)> Weigh(int layers, Func<int, double> weight) => Enumerable.Range(0, layers).Select(layer => (layer, weight(layer)));
}
