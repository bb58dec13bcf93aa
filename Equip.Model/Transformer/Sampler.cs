using Equip.Model.Config;

namespace Equip.Model.Transformer;

/// <summary>
/// Chooses the next token from logits: temperature, then top-k, then top-p on what is left. One thread at a time; nothing is
/// allocated per call once warm.
/// </summary>
/// <remarks>
/// A seed and a sequence of logits give the same tokens on every machine: random numbers come from SplitMix64 (Steele, Lea and
/// Flood 2014), weights from additions and multiplications in double in a fixed order. <see cref="Math.Exp"/> would not do, its
/// last bit is the system library's affair.
/// </remarks>
public sealed class Sampler
{
    private readonly double _temperature;
    private readonly int _topK;
    private readonly double _topP;
    // The k best keys so far, the worst of them first.
    private readonly PriorityQueue<ulong, ulong> _best = new();
    private ulong _random;

    // Candidates: what Key makes of logit and id, and the weight of each.
    private ulong[] _keys = [];
    private double[] _weights = [];

    // 1/13! to 1/0!, each the double next to it.
    private static ReadOnlySpan<double> InverseFactorials =>
    [
        1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120,
        1.0 / 24, 1.0 / 6, 1.0 / 2, 1, 1,
    ];

    /// <summary>Makes a sampler; temperature 0 is greedy.</summary>
    /// <param name="temperature">Divides the logits; 0 takes the largest one.</param>
    /// <param name="topK">Sample from this many most likely tokens; 0 for all.</param>
    /// <param name="topP">Sample from the most likely tokens that together reach this share of the probability, at least one; 0 to 1.</param>
    /// <param name="seed">Where the random numbers start.</param>
    /// <exception cref="ArgumentException">A parameter is out of its range.</exception>
    public Sampler(float temperature = 0, int topK = 0, float topP = 1, ulong seed = 0)
    {
        if (!float.IsFinite(temperature) || temperature < 0)
            throw new ArgumentOutOfRangeException(nameof(temperature), temperature, $"temperature: got {temperature}, expected 0 or more");
        if (topK < 0) throw new ArgumentOutOfRangeException(nameof(topK), topK, $"topK: got {topK}, expected 0 or more");
        if (!(topP >= 0 && topP <= 1)) throw new ArgumentOutOfRangeException(nameof(topP), topP, $"topP: got {topP}, expected 0 to 1");
        _temperature = temperature;
        _topK = topK;
        _topP = topP;
        _random = seed;
    }

    /// <summary>A sampler as a model's makers recommend it.</summary>
    public static Sampler FromConfig(GenerationConfig config, ulong seed = 0)
    {
        ArgumentNullException.ThrowIfNull(config);
        return config.DoSample ? new Sampler(config.Temperature, config.TopK, config.TopP, seed) : new Sampler();
    }

    /// <summary>The next token. Ties go to the lower id; NaN and negative infinity are never chosen.</summary>
    /// <param name="logits"><c>[vocabulary]</c>.</param>
    /// <exception cref="ArgumentException">No logit is above negative infinity.</exception>
    public int Sample(ReadOnlySpan<float> logits)
    {
        int best = Largest(logits);
        if (_temperature == 0) return best;
        if (_keys.Length < logits.Length)
        {
            _keys = new ulong[logits.Length];
            _weights = new double[logits.Length];
        }

        bool isSorted = _topK > 0 && _topK < logits.Length;
        int count = isSorted ? TakeBest(logits) : TakeAll(logits);
        double total = 0;
        for (int i = 0; i < count; i++) total += _weights[i] = Weight(logits[Id(_keys[i])], logits[best]);
        if (_topP == 1) return Draw(count, total);

        if (!isSorted) count = Sort(count, (1 - _topP) * total / count);
        double mass = 0;
        int kept = 0;
        do mass += _weights[kept++];
        while (kept < count && mass < _topP * total);
        return Draw(kept, mass);
    }

    /// <summary>The next 64 random bits.</summary>
    internal ulong NextRandom()
    {
        ulong bits = _random += 0x9E3779B97F4A7C15;
        bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9;
        bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB;
        return bits ^ (bits >> 31);
    }

    /// <summary>
    /// e^x for x up to 0. x = n ln 2 + r with |r| at most ln 2 / 2 (ln 2 in two parts, Cody and Waite), e^r by its series up to
    /// r^13, whose error is below the last bit. Under -700 it is 0.
    /// </summary>
    internal static double Exp(double x)
    {
        if (x < -700) return 0;
        double n = Math.Round(x * 1.4426950408889634);
        double r = x - (n * 0.69314718036912382) - (n * 1.9082149292705877e-10);
        double sum = 0;
        foreach (double coefficient in InverseFactorials) sum = (sum * r) + coefficient;
        return sum * BitConverter.Int64BitsToDouble(((long)n + 1023) << 52);
    }

    private static int Largest(ReadOnlySpan<float> logits)
    {
        int best = -1;
        float largest = float.NegativeInfinity;
        for (int id = 0; id < logits.Length; id++)
        {
            if (!(logits[id] > largest)) continue;
            largest = logits[id];
            best = id;
        }

        return best >= 0 ? best : throw new ArgumentException($"logits: none of {logits.Length} is above negative infinity", nameof(logits));
    }

    /// <summary>Probability of a token relative to the most likely one.</summary>
    private double Weight(float logit, float largest) => logit == largest ? 1 : Exp(((double)logit - largest) / _temperature);

    /// <summary>Sorts like the tokens' rank: larger logits first, of equal ones (+0 and -0 are) the lower id.</summary>
    private static ulong Key(float logit, int id)
    {
        uint bits = BitConverter.SingleToUInt32Bits(logit + 0f);
        uint descending = bits >> 31 == 0 ? ~bits & 0x7FFFFFFF : bits;
        return ((ulong)descending << 32) | (uint)id;
    }

    private static int Id(ulong key) => (int)(uint)key;

    /// <summary>Makes every token that may be chosen a candidate, in the order of their ids.</summary>
    private int TakeAll(ReadOnlySpan<float> logits)
    {
        int count = 0;
        for (int id = 0; id < logits.Length; id++)
            if (logits[id] > float.NegativeInfinity) _keys[count++] = Key(logits[id], id);
        return count;
    }

    /// <summary>Makes the k most likely tokens candidates, the best first.</summary>
    private int TakeBest(ReadOnlySpan<float> logits)
    {
        ulong worst = ulong.MaxValue;
        for (int id = 0; id < logits.Length; id++)
        {
            if (!(logits[id] > float.NegativeInfinity)) continue;
            ulong key = Key(logits[id], id);
            if (_best.Count < _topK) _best.Enqueue(key, ~key);
            else if (key < worst) _best.EnqueueDequeue(key, ~key);
            else continue;
            worst = _best.Peek();
        }

        int count = _best.Count;
        while (_best.TryDequeue(out ulong key, out _)) _keys[_best.Count] = key;
        return count;
    }

    /// <summary>
    /// Sorts the candidates, the best first. Those lighter than <paramref name="least"/> are dropped before: all of them
    /// together weigh less than top-p leaves out.
    /// </summary>
    private int Sort(int count, double least)
    {
        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            if (_weights[i] < least) continue;
            (_keys[kept], _weights[kept]) = (_keys[i], _weights[i]);
            kept++;
        }

        _keys.AsSpan(0, kept).Sort(_weights.AsSpan(0, kept));
        return kept;
    }

    /// <summary>One of the first <paramref name="count"/> candidates by their weights, which add up to <paramref name="mass"/>.</summary>
    private int Draw(int count, double mass)
    {
        double left = (NextRandom() >> 11) * (1.0 / (1L << 53)) * mass;
        int chosen = 0;
        for (int i = 0; i < count; i++)
        {
            if (_weights[i] == 0) continue;
            chosen = i;
            left -= _weights[i];
            if (left < 0) break;
        }

        return Id(_keys[chosen]);
    }
}
